"""Values in 16-bit registers: how many they take, in which order, and what stands for no value. Pure."""

import math
import struct
from collections.abc import Sequence
from typing import Literal

Datatype = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool"]
Order = Literal["big", "little"]

_FORMATS: dict[Datatype, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "bool": "H",
}
_SIGNED = frozenset({"int16", "int32", "int64"})
_SHORTEST, _LONGEST = 6, 9
_MOST_FLOAT32 = (2 - 2**-23) * 2.0**127


def size(datatype: Datatype) -> int:
    """How many registers a value takes."""
    return struct.calcsize(f">{_FORMATS[datatype]}") // 2


def decode(
    registers: Sequence[int], datatype: Datatype, *, words: Order = "big", bytes_: Order = "big"
) -> float | int | bool | None:
    """The value that stands in registers.

    Args:
        registers: As many as the datatype takes, each from 0 to 65535.
        datatype: What they hold; a `bool` is true unless its register is 0.
        words: `big` where the first register is the most significant.
        bytes_: `big` where the first byte of a register is the more significant.

    Returns:
        The value; a float32 with no more digits than it has. None where a float is no finite number, or a
        signed number is the least one, which stands for no value (SunSpec).
    """
    ordered = registers if words == "big" else registers[::-1]
    data = b"".join(register.to_bytes(2, bytes_) for register in ordered)
    number: float | int = struct.unpack(f">{_FORMATS[datatype]}", data)[0]
    if datatype == "bool":
        return number != 0
    if isinstance(number, float):
        if not math.isfinite(number):
            return None
        return _shortest(number) if datatype == "float32" else number
    if datatype in _SIGNED and number == -(1 << 8 * len(data) - 1):
        return None
    return number


def encode(value: float, datatype: Datatype, *, words: Order = "big", bytes_: Order = "big") -> list[int]:
    """The registers that hold a value; the arguments are those of `decode`.

    Raises:
        ValueError: The datatype cannot hold it.
    """
    try:
        number = value if datatype in {"float32", "float64"} else round(value)
        data = struct.pack(f">{_FORMATS[datatype]}", number)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value!r} does not fit {datatype}") from error
    taken = [int.from_bytes(data[at : at + 2], bytes_) for at in range(0, len(data), 2)]
    return taken if words == "big" else taken[::-1]


def _shortest(number: float) -> float:
    """The number with the fewest digits that is the same float32."""
    exact = struct.pack(">f", number)
    for digits in range(_SHORTEST, _LONGEST):
        short = float(f"{number:.{digits}g}")
        if abs(short) <= _MOST_FLOAT32 and struct.pack(">f", short) == exact:
            return short
    return float(f"{number:.{_LONGEST}g}")
