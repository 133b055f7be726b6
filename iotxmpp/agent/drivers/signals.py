"""Believable signals, as pure functions of a name and a time: the same arguments give the same value.

`name` seeds a signal; two names give independent ones. Times are seconds since 1970.
"""

import math
from hashlib import blake2b

DAY = 86_400.0
_WARMEST = 15 * 3600.0


def chance(name: str, turn: int) -> float:
    """An even pseudo-random number in [0, 1)."""
    digest = blake2b(f"{name}/{turn}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def noise(name: str, time: float, greatest: float) -> float:
    """A fresh deviation at each millisecond, small ones more often than great ones, within ±greatest."""
    turn = math.floor(time * 1000)
    return greatest * (chance(f"{name}/a", turn) + chance(f"{name}/b", turn) - 1.0)


def daily(time: float, mean: float, swing: float) -> float:
    """A wave of one day, highest at 15:00 UTC."""
    return mean + swing * math.cos(2 * math.pi * (time - _WARMEST) / DAY)


def walk(name: str, time: float, mean: float, swing: float, period: float) -> float:
    """Wanders smoothly within mean ± swing, with a new direction each period."""
    turn, part = divmod(time / period, 1.0)
    start, end = chance(name, int(turn)), chance(name, int(turn) + 1)
    smooth = part * part * (3 - 2 * part)
    return mean + swing * (2 * (start + (end - start) * smooth) - 1)


def flip(name: str, time: float, period: float, share: float) -> bool:
    """True for that share of the periods, picked at random."""
    return chance(name, math.floor(time / period)) < share


def counter(time: float, an_hour: float, period: float) -> float:
    """Grows by so much an hour, now faster, now slower, never back; counted from 2025-01-01."""
    hours = (time - 1_735_689_600) / 3600
    wave = period / 3600
    return an_hour * (hours + 0.6 * wave / (2 * math.pi) * math.sin(2 * math.pi * hours / wave))
