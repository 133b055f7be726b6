"""Believable signals, as pure functions of a name and a time: the same arguments give the same value.

`name` seeds a signal; two names give independent ones. Times are seconds since 1970.
"""

import math
from hashlib import blake2b

DAY = 86_400.0
START = 1_735_689_600.0
"""What is counted is counted from here: 2025-01-01."""

_WARMEST = 15 * 3600.0
_MIRRORED = 16
"""So many corners of a walk, then as many that mirror them: so its sum is known from the last few alone."""


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
    start, end = _corner(name, int(turn)), _corner(name, int(turn) + 1)
    smooth = part * part * (3 - 2 * part)
    return mean + swing * (2 * (start + (end - start) * smooth) - 1)


def walk_total(name: str, time: float, mean: float, swing: float, period: float) -> float:
    """What `walk` adds up to since 2025-01-01: its value times seconds."""
    walked = _walked(name, time / period) - _walked(name, START / period)
    return mean * (time - START) + 2 * swing * period * walked


def daily_total(time: float, mean: float, swing: float) -> float:
    """What `daily` adds up to since 2025-01-01: its value times seconds."""
    waves = [math.sin(2 * math.pi * (each - _WARMEST) / DAY) for each in (time, START)]
    return mean * (time - START) + swing * DAY / (2 * math.pi) * (waves[0] - waves[1])


def _corner(name: str, turn: int) -> float:
    block, place = divmod(turn, 2 * _MIRRORED)
    corner = chance(name, block * 2 * _MIRRORED + place % _MIRRORED)
    return corner if place < _MIRRORED else 1 - corner


def _walked(name: str, turns: float) -> float:
    """The area between a walk of turns and its middle, up to there; whole blocks of corners have none."""
    turn, part = divmod(turns, 1.0)
    last = int(turn)
    start, end = _corner(name, last), _corner(name, last + 1)
    whole = sum(_corner(name, n) - 0.5 for n in range(last - last % (2 * _MIRRORED), last))
    return whole + start / 2 + (start - 0.5) * part + (end - start) * (part**3 - part**4 / 2)


def flip(name: str, time: float, period: float, share: float) -> bool:
    """True for that share of the periods, picked at random."""
    return chance(name, math.floor(time / period)) < share


def counter(time: float, an_hour: float, period: float) -> float:
    """Grows by so much an hour, now faster, now slower, never back; counted from 2025-01-01."""
    hours = (time - START) / 3600
    wave = period / 3600
    return an_hour * (hours + 0.6 * wave / (2 * math.pi) * math.sin(2 * math.pi * hours / wave))
