"""Named places at which a process can be told to die, for tests of crash safety.

On the agent they are `accepted`, `committed`, `published`, `acked` and `trimmed`; on the controller `stored`
and `ack-sent`, and, in its queue of commands, `queue.committed`, `queue.sent` and `queue.answered`. Where a
call is carried out they are `journal.begun`, `command.ran` and `journal.finished`. The environment variable
`IOTXMPP_CRASH_AT` holds `label` or `label:n`: the process kills itself with SIGKILL, as a power cut would,
when it comes to that place for the n-th time (1 without n).
"""

import itertools
import os
import signal

__all__ = ["COMMAND_LABELS", "LABELS", "VARIABLE", "at"]

VARIABLE = "IOTXMPP_CRASH_AT"
LABELS = frozenset({"accepted", "committed", "published", "acked", "trimmed", "stored", "ack-sent"})
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

_passes = itertools.count(1)


def at(label: str) -> None:
    """Mark a place; die here when the environment says so, else do nothing."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return
    wanted, _, count = named.partition(":")
    if wanted == label and next(_passes) == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
