"""Packs of the common shape, checked in one pass: what is odd in any way is left to `ingest`.

The first record gives the base time, and the base name: the device's, or that of the one channel that all
records are of. It may give a base unit, which then is that of all. Beside that each record has a described
channel's name and unit, a value and a time, and nothing else; all of them are good. What comes out is what
`ingest` would make of it, reading by reading. It rejects nothing: all else is looked at there, by checks that
can say what is wrong.
"""

from collections.abc import Mapping, Sequence
from math import inf
from operator import itemgetter
from sys import float_info
from typing import Any, Final, get_args

from iotxmpp.about import About, Channel
from iotxmpp.addresses import DeviceId
from iotxmpp.controller.columns import Columns, Kind, Place
from iotxmpp.errors import InvalidError
from iotxmpp.readings import ClockQuality
from iotxmpp.senml import check_name
from iotxmpp.senml_json import MOST_RECORDS, bare_records, may_have_more

_EXACT: Final = 2**53
"""Beyond this, a floating-point number does not hold every integer."""

_NUMBERS: Final = 2**63
_NUL: Final = r"\u0000"
_LARGEST: Final = float_info.max
_NUMERIC = frozenset({int, float})
_HEAD: Final[Mapping[str, frozenset[type]]] = {
    "bn": frozenset({str}),
    "bt": _NUMERIC,
    "bu": frozenset({str}),
    "cq": frozenset({str}),
}
"""The base fields, and what stands under them."""

_SHAPES: Final[Mapping[str, tuple[type, Kind, str]]] = {
    "float": (float, "f", "v"),
    "int": (int, "i", "v"),
    "bool": (bool, "b", "vb"),
    "str": (str, "s", "vs"),
}
Window = tuple[float, float]
_CLOCKS = frozenset(get_args(ClockQuality)) - {"r"}  # whose times are relative

Check = tuple[Place, str, type, str | None, float, float, int]
"""Channel, label and type of the value, the unit that is said, least and greatest value, and how many labels
there are without a time."""

Shape = Mapping[str | None, Check]
"""The checks of a pack's records, by the name that they say; None for none."""

Record = dict[str, Any]
"""A record, as its JSON has it."""

Made = tuple[list[Place], list[Any], list[Any], bool]
"""Channels, values, what is said of times, empty for nothing, and whether any value is text."""


class Checks:
    """A device's description, made ready.

    Args:
        device: The device's id.
        about: Its description.
        longest: How many characters a channel's name may have.

    Attributes:
        about: The description.
    """

    def __init__(self, device: DeviceId, about: About, *, longest: int) -> None:
        self.about = about
        self._prefix = f"{device}/"
        self._places = {
            name: Place(channel=name, unit=channel.unit, kind=_SHAPES[channel.type][1])
            for name, channel in about.channels.items()
            if _is_name(name, longest)
        }
        self._shapes: dict[tuple[str, str | None], Shape] = {}

    def shape(self, name: str, unit: str | None) -> Shape:
        """What records may look like in a pack of this base name and base unit; empty where none is good."""
        shape = self._shapes.get((name, unit))
        if shape is None:
            shape = self._made(name.removeprefix(self._prefix), unit) if self._is_ours(name) else {}
            if shape:  # so there are only so many
                self._shapes[name, unit] = shape
        return shape

    def _is_ours(self, name: str) -> bool:
        return name.startswith(self._prefix)

    def _made(self, channel: str, unit: str | None) -> Shape:
        chosen = [place for place in self._places.values() if channel in ("", place.channel)]
        return {
            None if channel else place.channel: _check(
                place, self.about.channels[place.channel], unit=unit, named=not channel
            )
            for place in chosen
            if unit is None or unit == place.unit
        }


def read_pack(text: str, checks: Checks, *, epoch: str, first: int, window: Window) -> Columns | None:
    """The readings of a pack of the common shape, all of them good; None for any other pack.

    Args:
        text: The pack's JSON.
        checks: What the device described.
        epoch: The epoch of its numbers.
        first: The number of its first reading.
        window: The earliest and the latest time that are taken, in seconds since 1970.
    """
    earliest, latest = window
    if _NUL in text or may_have_more(text, MOST_RECORDS):
        return None
    try:
        pack = bare_records(text)
    except InvalidError:
        return None
    head = pack[0]
    base, clock = head.get("bt", -inf), head.get("cq", "s")
    good = all(type(head[label]) in kinds for label, kinds in _HEAD.items() if label in head)
    if not (good and earliest <= base <= latest and clock in _CLOCKS and first + len(pack) <= _NUMBERS):
        return None
    pack[0] = {label: value for label, value in head.items() if label not in _HEAD}
    known = checks.shape(head.get("bn", ""), head.get("bu"))
    columns = _column(pack, known.get(None)) or _columns(pack, known)
    if columns is None:
        return None
    places, values, offsets, texts = columns
    times = _times(base, offsets) if offsets else [base] * len(values)
    low, high = (min(times, default=-inf), max(times, default=-inf)) if offsets else (base, base)
    if low < earliest or high > latest:
        return None
    return Columns(
        places=places,
        values=values,
        times=times,
        earliest=low,
        latest=high,
        texts=texts,
        epoch=epoch,
        first=first,
        clock="u" if clock == "u" else "s",
    )


def _column(pack: list[Record], check: Check | None) -> Made | None:
    """The columns of numbers of one channel, where all records have the same labels; None for any others.

    Most packs are so. It says what `_columns` says, in a quarter of the time.
    """
    if check is None:
        return None
    place, label, kind, unit, low, high, size = check
    timed = "t" in pack[-1]
    if timed:
        pack[0].setdefault("t", 0)  # the base time is that of the first
    if unit is not None or kind is str or set(map(len, pack)) != {size + timed}:
        return None
    try:
        values = list(map(itemgetter(label), pack))
        offsets = list(map(itemgetter("t"), pack)) if timed else []
    except LookupError:
        return None
    if set(map(type, values)) != {kind} or min(values) < low or max(values) > high:
        return None
    return [place] * len(pack), values, offsets, False


def _columns(pack: list[Record], known: Shape) -> Made | None:
    """All records' columns; one function, because this is done for each reading there is."""
    places: list[Place] = []
    values: list[Any] = []
    offsets: list[Any] = []
    texts = False
    try:
        for raw in pack:
            place, label, kind, unit, low, high, size = known[raw.get("n")]
            value = raw[label]
            if type(value) is not kind:
                value = _as_float(value, kind)
            if kind is str:
                texts = True
            elif not low <= value <= high:
                return None
            if unit is not None and raw["u"] != unit:
                return None
            # With all labels that must be there, as many as there are means that there is no other.
            more = len(raw) - size
            if more not in (0, 1):
                return None
            places.append(place)
            values.append(value)
            offsets.append(raw["t"] if more else 0)
    except (LookupError, TypeError):  # no such channel, a label that is not there, or a value of another type
        return None
    return places, values, offsets, texts


def _times(base: float, offsets: Sequence[Any]) -> list[float]:
    """The times of records, by what they say of them; empty where one of them says no number."""
    if not set(map(type, offsets)) <= _NUMERIC:
        return []
    try:
        return [base + each for each in offsets]
    except OverflowError:
        return []


def _as_float(value: object, kind: type) -> float:
    """A whole number as the value of a channel of floats; raises `LookupError` for all else."""
    if kind is float and type(value) is int and -_EXACT <= value <= _EXACT:
        return float(value)
    raise LookupError


def _check(place: Place, channel: Channel, *, unit: str | None, named: bool) -> Check:
    """The check of a channel's records, where this is the base unit, and they say its name or not."""
    kind, _, label = _SHAPES[channel.type]
    low, high = channel.range or (-inf, inf)
    # Larger integers travel and are kept in another way; no other number is infinite.
    most = _EXACT if kind is int else _LARGEST
    low, high = max(low, -most), min(high, most)
    said = channel.unit if unit is None else None
    return place, label, kind, said, low, high, 1 + named + (said is not None)


def _is_name(name: str, longest: int) -> bool:
    try:
        return len(check_name(name, "channel")) <= longest
    except InvalidError:
        return False
