"""How much work a piece of work is, on any machine: in the time of another piece of work that is known.

A bound in seconds would be a bound of the machine. So a slow or busy one is found out by work of the same
nature, which is done beside it, and the time is told as the machine of `docs/performance.md` would need it.
"""

import time
import tomllib
from collections.abc import Callable

SOON = 0.1
"""Seconds, on that machine, within which any input is answered."""

_KNOWN = "".join(f"[part{n}]\nname = 'n{n}'\nvalues = [1, 2.5, true, \"text\"]\n" for n in range(100))
_KNOWN_SECONDS = 0.0016
"""What reading it takes on that machine, when it does nothing else."""

_ROUNDS = 12


def seconds_of(work: Callable[[], object], soon: float = SOON) -> float:
    """What a piece of work takes, in seconds of the machine of `docs/performance.md`.

    Each further round is only to show that a time was another's fault: the least of each piece counts.

    Args:
        work: Is called until it was quick once, a few times at most; only its thread's own time counts.
        soon: The seconds that are quick.
    """
    least = _taken(work)
    if least < soon:  # no machine is expected to be much quicker than that one
        return least
    known = _taken(_read_known)
    for _ in range(_ROUNDS):
        known = min(known, *(_taken(_read_known) for _ in range(5)))
        least = min(least, _taken(work))
        if least * _KNOWN_SECONDS < soon * known:
            break
    return least * min(1.0, _KNOWN_SECONDS / known)


def _read_known() -> None:
    tomllib.loads(_KNOWN)


def _taken(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start
