"""Named places at which a process can be told to die, for tests of crash safety.

On the agent they are `accepted`, `committed`, `uncommitted` (published before it was committed), `published`,
`acked` and `trimmed`; on the controller `stored`
and `ack-sent`, and, in its queue of commands, `queue.committed`, `queue.sent` and `queue.answered`. Where a
call is carried out they are `journal.begun`, `command.ran` and `journal.finished`. Where an agent makes or
replaces its outbox they are those of `MAKING_LABELS` and `REPLACING_LABELS`. The environment variable
`IOTXMPP_CRASH_AT` holds `label` or `label:n`: the process kills itself with SIGKILL, as a power cut would,
when it comes to that place for the n-th time (1 without n).
"""

import itertools
import os
import signal

__all__ = ["COMMAND_LABELS", "LABELS", "MAKING_LABELS", "REPLACING_LABELS", "VARIABLE", "at", "is_armed"]

VARIABLE = "IOTXMPP_CRASH_AT"
LABELS = frozenset(
    {"accepted", "committed", "uncommitted", "published", "acked", "trimmed", "stored", "ack-sent"}
)
"""The places on a reading's way."""

COMMAND_LABELS = frozenset(
    {
        "queue.committed",
        "queue.sent",
        "queue.answered",
        "journal.begun",
        "command.ran",
        "journal.finished",
    }
)
"""The places on a command's way."""

MAKING_LABELS = ("outbox.making", "outbox.made", "outbox.placed", "outbox.told", "file.written")
"""The places where an agent makes its outbox: the new file begun, whole, and in its place; what is missing
told; a small file beside it written, but not in its place. One of version 1 has `outbox.migrated` besides."""

REPLACING_LABELS = ("outbox.salvaged", "outbox.ready", "outbox.aside", "outbox.replaced")
"""The places where an agent replaces a damaged outbox: what is whole copied; the new file whole; a part of
the old one moved aside; the new one in its place."""

_passes = itertools.count(1)


def is_armed() -> bool:
    """Whether the environment names any place: for code that runs too often to ask each time."""
    return VARIABLE in os.environ


def at(label: str) -> None:
    """Mark a place; die here when the environment says so, else do nothing."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return
    wanted, _, count = named.partition(":")
    if wanted == label and next(_passes) == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
