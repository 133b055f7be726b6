"""Values and texts in level 1's bodies (docs/serial.md, section 7.1). No I/O."""

import math
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from functools import lru_cache

from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value

LONGEST_TEXT = 247
"""Bytes of a text at most; its message's body may leave it less."""

_INTEGERS = 1 << 24
_LEAST_NORMAL = 1.2e-38
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_FLOAT = struct.Struct("<f")
_INT = struct.Struct("<i")


class Kind(IntEnum):
    """The kind of a value."""

    FLOAT = 0
    INT = 1
    BOOL = 2
    STR = 3


def short_float(value: float) -> float:
    """The float with the fewest digits that is the same float32: 21.1 for 21.100000381469727.

    Args:
        value: A float32, as a Python float; NaN and infinities are returned as they are.
    """
    if -_INTEGERS < value < _INTEGERS and value == int(value):
        return value
    return _shortest(value)


@lru_cache(maxsize=4096)
def _shortest(value: float) -> float:
    if not math.isfinite(value):
        return value
    packed = _FLOAT.pack(value)
    # Six digits survive a normal float32, so fewer are tried for the smallest numbers only.
    for digits in range(6 if abs(value) >= _LEAST_NORMAL else 1, 9):
        near = float(f"{value:.{digits}g}")
        try:
            if _FLOAT.pack(near) == packed:
                return near
        except OverflowError:
            continue
    return float(f"{value:.9g}")


def clean_text(data: bytes) -> str:
    """A text from a board; what is no UTF-8 or no character for people becomes U+FFFD."""
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() else _CONTROL.sub("\ufffd", text)


def read_float(data: bytes, place: int) -> tuple[Value, int]:
    """A float32 at that place, and the place after it; it may be NaN or infinite."""
    return short_float(_FLOAT.unpack_from(data, place)[0]), place + 4


def read_int(data: bytes, place: int) -> tuple[Value, int]:
    """An int32 at that place, and the place after it."""
    return _INT.unpack_from(data, place)[0], place + 4


def read_bool(data: bytes, place: int) -> tuple[Value, int]:
    """A truth value at that place, and the place after it.

    Raises:
        InvalidError: It is neither 0 nor 1.
    """
    if data[place] > 1:
        raise InvalidError(f"truth value {data[place]}: expected 0 or 1")
    return data[place] == 1, place + 1


def read_text(data: bytes, place: int) -> tuple[str, int]:
    """A text at that place, and the place after it.

    Raises:
        InvalidError: It goes over the end.
    """
    end = place + 1 + data[place]
    if end > len(data):
        raise InvalidError(f"text of {data[place]} bytes: only {len(data) - place - 1} are there")
    return clean_text(data[place + 1 : end]), end


READERS: Sequence[Callable[[bytes, int], tuple[Value, int]]] = (read_float, read_int, read_bool, read_text)
"""What reads a value, by its kind. Each raises IndexError or struct.error at the data's end."""


def read_kind(number: int, where: str) -> Kind:
    """The kind of that number.

    Raises:
        InvalidError: There is none.
    """
    try:
        return Kind(number)
    except ValueError as error:
        raise InvalidError(
            f"{where}: no kind {number}; known are 0 float, 1 int, 2 bool, 3 str; is iotxmpp older than"
            " the board's firmware?"
        ) from error


def write_text(text: str, where: str = "text") -> bytes:
    """A text, with its length first.

    Raises:
        InvalidError: It is too long.
    """
    data = text.encode("utf-8", "replace")
    if len(data) > LONGEST_TEXT:
        raise InvalidError(f"{where}: {len(data)} bytes of text, at most {LONGEST_TEXT}; shorten it")
    return bytes((len(data),)) + data


def write_value(kind: Kind, value: Value, where: str = "value") -> bytes:
    """A value's data.

    Raises:
        InvalidError: It is not of that kind, or out of its range.
    """
    fits = {
        Kind.FLOAT: isinstance(value, int | float) and not isinstance(value, bool),
        Kind.INT: isinstance(value, int) and not isinstance(value, bool),
        Kind.BOOL: isinstance(value, bool),
        Kind.STR: isinstance(value, str),
    }[kind]
    if not fits:
        raise InvalidError(f"{where}: {value!r} is no {kind.name.lower()}")
    if isinstance(value, str):
        return write_text(value, where)
    try:
        if kind is Kind.FLOAT:
            return _FLOAT.pack(value)
        return _INT.pack(value) if kind is Kind.INT else bytes((bool(value),))
    except (struct.error, OverflowError) as error:
        size = "a float32" if kind is Kind.FLOAT else "32 bits with a sign"
        raise InvalidError(f"{where}: {value!r} does not fit {size}") from error


def write_tagged(value: Value) -> bytes:
    """A value with its kind before it; a whole number that is too great becomes a float.

    Raises:
        InvalidError: It is too long or too great.
    """
    kind = kind_of(value)
    return bytes((kind,)) + write_value(kind, value)


def kind_of(value: Value) -> Kind:
    """The kind that a value has by itself."""
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, int):
        return Kind.INT if -(1 << 31) <= value < 1 << 31 else Kind.FLOAT
    return Kind.FLOAT if isinstance(value, float) else Kind.STR


def write_arguments(kinds: Iterable[Kind], values: Iterable[Value | None]) -> bytes:
    """A call's arguments in their order: 00 for one that is left out, else 01 and its data.

    Raises:
        InvalidError: One is not of its kind; there are more or fewer than kinds.
    """
    return b"".join(
        b"\0" if value is None else b"\x01" + write_value(kind, value)
        for kind, value in zip(kinds, values, strict=True)
    )


def read_arguments(kinds: Iterable[Kind], data: bytes) -> tuple[Value | None, ...]:
    """A call's arguments; the other way of `write_arguments`.

    Raises:
        InvalidError: They do not fit the kinds.
    """
    values: list[Value | None] = []
    place = 0
    try:
        for kind in kinds:
            present, place = read_bool(data, place)
            value: Value | None = None
            if present:
                value, place = READERS[kind](data, place)
            values.append(value)
    except (IndexError, struct.error) as error:
        raise InvalidError("arguments: they end too soon") from error
    if place != len(data):
        raise InvalidError(f"arguments: {len(data) - place} bytes too many")
    return tuple(values)
