"""What one comparison asks of a device; whatever is not known compares as false."""

import math
import operator as operators
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import translate
from typing import Any, Literal, Protocol, cast

from iotxmpp.readings import Value

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]

_TRUTH = {"true": True, "on": True, "false": False, "off": False}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_VERSION = re.compile(
    r"v?(?P<release>\d{1,18}(?:\.\d{1,18}){0,9})(?P<rest>(?:[.+~-]?\w[\w.+~-]{0,62})?)", re.ASCII
)
_EQUAL = frozenset({"=", "!="})
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "~": lambda _known, _wanted: False,  # numbers have no letters
}


class Facts(Protocol):
    """What is known of one device; an empty text, or None, is not known."""

    @property
    def id(self) -> str:
        """The device's id."""
        ...

    @property
    def profile(self) -> str:
        """What it was made from, as `id version`, or the id alone."""
        ...

    @property
    def site(self) -> str:
        """Where it stands."""
        ...

    @property
    def tags(self) -> Collection[str] | None:
        """Its tags; None where it is not known which it has."""
        ...

    @property
    def presence(self) -> str:
        """Its state, one of `iotxmpp.liveness.STATES`."""
        ...

    @property
    def version(self) -> str:
        """The version of iotxmpp on it."""
        ...

    @property
    def readings(self) -> Mapping[str, Value]:
        """Its last readings by channel."""
        ...


Condition = Callable[[Facts], bool]
"""Whether a device is meant."""


def joined(how: Callable[[Iterator[bool]], bool], parts: list[Condition]) -> Condition:
    """All of the parts, or any of them."""
    return parts[0] if len(parts) == 1 else lambda facts: how(part(facts) for part in parts)


def negated(test: Condition) -> Condition:
    """Not the condition; so it holds where nothing is known."""
    return lambda facts: not test(facts)


def text_test(field: str, operator: Operator, value: str) -> Condition:
    """Compares a field that is text; of tags, any."""
    fits = _glob(value) if operator == "~" else value.__eq__

    def test(facts: Facts) -> bool:
        names = _names(facts, field)
        return names is not None and any(map(fits, names)) != (operator == "!=")

    return test


def _names(facts: Facts, field: str) -> Collection[str] | None:
    """All that the field's value may be called; None where it is not known."""
    if field == "tag":
        return facts.tags
    text = cast("str", getattr(facts, field))
    if not text:
        return None
    return (text, text.partition(" ")[0]) if field == "profile" else (text,)


def _glob(pattern: str) -> Callable[[str], bool]:
    """Only `*` and `?` have a meaning; takes no more time than the text and the pattern are long."""
    match = re.compile(translate(pattern.replace("[", "[[]"))).match
    return lambda text: match(text) is not None


def reading_test(channel: str, operator: Operator, value: str) -> Condition:
    """Compares the last reading of a channel, by that reading's type."""
    wanted, truth, fits = as_number(value), _TRUTH.get(value.lower()), _glob(value)

    def test(facts: Facts) -> bool:
        known = facts.readings.get(channel)
        match known:
            case None:
                return False
            case bool():
                return truth is not None and operator in _EQUAL and _COMPARE[operator](known, truth)
            case int() | float():
                return wanted is not None and _COMPARE[operator](known, wanted)
            case _:
                return (
                    fits(known)
                    if operator == "~"
                    else operator in _EQUAL and _COMPARE[operator](known, value)
                )

    return test


def version_test(operator: Operator, value: str) -> Condition:
    """Compares the version by its parts."""
    wanted = as_version(value)

    def test(facts: Facts) -> bool:
        known = as_version(facts.version)
        return known is not None and _COMPARE[operator](known, wanted)

    return test


def as_number(text: str) -> int | float | None:
    """The finite number that the text says, if any."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return number if math.isfinite(number) else None


def as_version(text: str) -> tuple[object, ...] | None:
    """A version in its order: `1.2` is `1.2.0`, `1.2rc1` is before it, `1.2+3` and `1.2.post1` after it."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match["release"].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    rest = match["rest"]
    later = rest.startswith(("+", ".post", "-post"))
    parts = [
        (int(part), "") if part.isdecimal() else (-1, part.lower())
        for part in re.findall(r"\d{1,18}|[A-Za-z_]+", rest)
    ]
    return tuple(numbers), (later - (not later)) if rest else 0, tuple(parts)
