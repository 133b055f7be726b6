"""How a simulated reading follows from others of its device: from which, and whether it can."""

from collections.abc import Mapping

from iotxmpp.faulttexts import guess
from iotxmpp.kinds import ReadingKind, Simulate
from iotxmpp.units import UNITS

RELATIONS = ("sum_of", "quotient_of", "above", "integral_of")
"""The keys of `simulate` that name other readings."""

MOST_LEVELS = 8
"""Readings that one may follow from, one behind the other, itself counted."""

_OVER_TIME = {
    "W": "J",
    "VA": "VAs",
    "var": "vars",
    "A": "C",
    "m/s": "m",
    "l/s": "l",
    "m3/s": "m3",
    "bit/s": "bit",
}
"""What a unit adds up to in a second; primary units."""

_LEAST_OF_A_QUOTIENT = 2


def relation(hints: Simulate) -> tuple[str, tuple[str, ...]] | None:
    """The key that names other readings, and their names; None where there is none."""
    for key in RELATIONS:
        named = getattr(hints, key)
        if named:
            return key, (named,) if isinstance(named, str) else named
    return None


def part_channels(channel: str, part: str, kinds: Mapping[str, ReadingKind]) -> list[str]:
    """The channels that a part stands for; none where it is not there.

    Args:
        channel: What follows from it. With a `count`, it takes the channel of its own number.
        part: A reading's name.
        kinds: The channels' kinds by name, `count` counted out.
    """
    if part in kinds:
        return [part]
    first = kinds.get(f"{part}/1")
    if kinds[channel].count is not None:
        alike = [f"{part}/{channel.rpartition('/')[2]}"]
    else:
        alike = [f"{part}/{n + 1}" for n in range(first.count or 0)] if first is not None else []
    return [each for each in alike if each in kinds]


def per_second(unit: str | None, total: str | None) -> float | None:
    """How much a value of 1 in one unit adds to a total in another in a second; None where it does not."""
    rate, whole = UNITS.get(unit or ""), UNITS.get(total or "")
    if rate is None or whole is None or _OVER_TIME.get(rate.primary) != whole.primary:
        return None
    return rate.scale / whole.scale


def to_primary(unit: str | None) -> float:
    """How much of its primary unit one of a unit is; 1 without a unit."""
    known = UNITS.get(unit or "")
    return known.scale if known is not None else 1.0


def _can_add(unit: str | None, other: str | None) -> bool:
    """Whether values in one unit can be turned into another by a factor."""
    if unit == other:
        return True
    one, two = UNITS.get(unit or ""), UNITS.get(other or "")
    return (
        one is not None and two is not None and one.primary == two.primary and one.offset == two.offset == 0
    )


def check_relations(readings: Mapping[str, ReadingKind]) -> None:
    """Refuses what cannot be simulated.

    Args:
        readings: The readings by name.

    Raises:
        ValueError: A part is unknown, does not fit, or follows from what follows from it.
    """
    depths: dict[str, int] = {}
    for name, kind in readings.items():
        found = relation(kind.simulate)
        if found is not None:
            _check(f"readings.{name}.simulate", name, found, readings)
            _depth(name, (), readings, depths)


def _check(
    where: str, name: str, found: tuple[str, tuple[str, ...]], readings: Mapping[str, ReadingKind]
) -> None:
    kind = readings[name]
    (key, parts), given = found, [key for key in RELATIONS if getattr(kind.simulate, key)]
    where = f"{where}.{key}"
    if len(given) > 1:
        raise ValueError(f"{where}: {' and '.join(given)}: keep one of them")
    if len(set(parts)) < len(parts):
        raise ValueError(f"{where}: a reading is named twice; name it once")
    if key == "quotient_of" and len(parts) < _LEAST_OF_A_QUOTIENT:
        raise ValueError(f"{where}: name two readings at least")
    for part in parts:
        if part not in readings:
            raise ValueError(f"{where}: no reading {part[:64]!r}{guess(part, readings)}")
        for each in (name, part):
            if readings[each].type not in ("float", "int"):
                raise ValueError(f"{where}: {each} is no number; name numbers alone")
        count = readings[part].count
        if count not in (None, kind.count) and (key != "sum_of" or kind.count is not None):
            raise ValueError(f"{where}: {part} has count = {count}; give {name} the same")
        _check_unit(where, key, kind.unit, part, readings)


def _check_unit(
    where: str, key: str, unit: str | None, part: str, readings: Mapping[str, ReadingKind]
) -> None:
    other = readings[part].unit
    if key in ("sum_of", "above") and not _can_add(unit, other):
        raise ValueError(
            f"{where}: {part} is in {other or 'no unit'}, this in {unit or 'none'}; give both the same, or"
            " multiples of one unit"
        )
    if key != "integral_of":
        return
    if per_second(other, unit) is None:
        total = _OVER_TIME.get(UNITS[other].primary if other is not None else "")
        fitting = [symbol for symbol, each in UNITS.items() if each.primary == total]
        hint = f"use {' or '.join(fitting)}" if fitting else f"name one in {', '.join(_OVER_TIME)}"
        raise ValueError(
            f"{where}: {part} in {other or 'no unit'} does not add up to {unit or 'none'}; {hint}"
        )
    if not _adds_up(readings[part], readings):
        raise ValueError(f"{where}: {part} must be a steady, daily or walk signal, or the sum_of such")


def _adds_up(kind: ReadingKind, readings: Mapping[str, ReadingKind]) -> bool:
    """Whether it is known what a reading adds up to."""
    found = relation(kind.simulate)
    if found is None:
        return not kind.counter and kind.simulate.wave in (None, "steady", "daily", "walk")
    key, parts = found
    leaves = [readings[part] for part in parts if part in readings]
    return key == "sum_of" and all(
        relation(each.simulate) is None and _adds_up(each, readings) for each in leaves
    )


def _depth(
    name: str, path: tuple[str, ...], readings: Mapping[str, ReadingKind], depths: dict[str, int]
) -> int:
    """How many readings one follows from, one behind the other, itself counted."""
    line = " -> ".join((*path, name))
    if name in path:
        raise ValueError(f"readings.{path[0]}.simulate: a cycle: {line}; take one name away")
    if name not in depths:
        found = relation(readings[name].simulate)
        parts = [] if found is None else [part for part in found[1] if part in readings]
        if len(path) < MOST_LEVELS:
            depths[name] = 1 + max(
                (_depth(part, (*path, name), readings, depths) for part in parts), default=0
            )
    if name not in depths or len(path) + depths[name] > MOST_LEVELS:
        raise ValueError(f"readings.{(*path, name)[0]}.simulate: more than {MOST_LEVELS} levels: {line} -> …")
    return depths[name]
