"""Named places at which a process can be told to die, for tests of crash safety.

On the agent they are `accepted`, `committed`, `published`, `acked` and `trimmed`; on the controller `stored`
and `ack-sent`. The environment variable `IOTXMPP_CRASH_AT` holds `label` or `label:n`: the process kills
itself with SIGKILL, as a power cut would, when it comes to that place for the n-th time (1 without n).
"""

import itertools
import os
import signal

__all__ = ["LABELS", "VARIABLE", "at"]

VARIABLE = "IOTXMPP_CRASH_AT"
LABELS = frozenset({"accepted", "committed", "published", "acked", "trimmed", "stored", "ack-sent"})

_passes = itertools.count(1)


def at(label: str) -> None:
    """Mark a place; die here when the environment says so, else do nothing."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return
    wanted, _, count = named.partition(":")
    if wanted == label and next(_passes) == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
