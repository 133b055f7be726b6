"""Files of settings in TOML: read within bounds, their faults told by file, key and fix."""

import math
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.xmltext import check_text, printable

__all__ = ["MOST_BYTES", "TableError", "parse_table", "read_data", "read_text", "table_error"]

MOST_BYTES = 32_768
"""Bytes that a profile may have."""

_MOST_VALUES = 10_000
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1
_DEEPEST_KEY = 16
_SHOWN_FAULTS = 5
_KEPT_FAULTS = 100
_LONGEST_FAULT = 400
_NO_TEXT, _NO_NUMBER = "text: ", "nan and inf are no values"
"""How a fault begins of a table that a driver reads, where a text or a number in it is wrong."""

_START = r"""\"(?:[^\"\\\n]|\\.)*+|'[^'\n]*+"""
_LONG_START = r"""\"{3}(?:[^\"\\]|\\[\s\S]|\"(?!\"\"))*+|'{3}(?:[^']|'(?!''))*+"""
_STRING = r"""\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*+'"""
# Reading a key takes time by the square of its parts. What stands in comments and strings is none.
_DEEP_KEY = re.compile(
    rf"(?P<deep>(?<![\w-])(?:(?:[\w-]++|{_STRING})[ \t]*+\.[ \t]*+){{{_DEEPEST_KEY}}})"
    # A string without an end is an error, and hides the rest.
    rf"|#[^\n]*+|(?:{_LONG_START})(?:['\"]{{3,5}}+|[\s\S]*+)|(?:{_START})(?:['\"]|[\s\S]*+)"
)


class TableError(ConfigError):
    """A file of settings is wrong.

    Attributes:
        where: The file.
        faults: The first hundred faults, each a line with its key and the fix; the error's text has five.
        count: How many there are.
    """

    def __init__(self, where: str, faults: Sequence[str], *, count: int | None = None) -> None:
        self.where = printable(where)
        self.faults = tuple(_cut(printable(fault)) for fault in faults)
        self.count = len(faults) if count is None else count
        more = f"; and {self.count - _SHOWN_FAULTS} more" if self.count > _SHOWN_FAULTS else ""
        super().__init__(f"{self.where}: {'; '.join(self.faults[:_SHOWN_FAULTS])}{more}")


def read_text(path: Path, *, most: int = MOST_BYTES) -> str:
    """The text of such a file, without a byte order mark.

    Raises:
        TableError: It cannot be read, is no file, is longer than `most` bytes, or is no UTF-8.
    """
    try:
        return read_data(path, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(str(path), [f"cannot be read: {error}"]) from error


def read_data(path: Path, *, most: int) -> bytes:
    """All bytes of a file.

    Raises:
        TableError: It cannot be read, is no file, or is longer than `most` bytes.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        data = _start_of(path, most + 1) if is_file else b""
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise TableError(str(path), [f"cannot be read: {error}"]) from error
    if not is_file:  # a pipe that nobody writes to would hold us for ever
        raise TableError(str(path), ["it is no regular file; give one"])
    if len(data) > most:
        raise TableError(str(path), [f"longer than {most} bytes; give a shorter file"])
    return data


def _start_of(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def parse_table(text: str, where: str, *, most: int = MOST_BYTES) -> dict[str, Any]:
    """The table that a TOML text gives.

    Args:
        text: The TOML.
        where: The file's name, for errors.
        most: Characters that it may have.

    Raises:
        TableError: It is no TOML, with the line and the column; or it is too long or too deep, or holds more
            than 10,000 values or a whole number of more than 64 bits.
    """
    import tomllib  # noqa: PLC0415  # a script that has no such file need not spare it

    if len(text) > most:
        raise TableError(where, [f"longer than {most} bytes; give a shorter file"])
    deep = next((found for found in _DEEP_KEY.finditer(text) if found["deep"]), None)
    if deep is not None:
        line = text.count("\n", 0, deep.start()) + 1
        raise TableError(where, [f"line {line}: a key of more than {_DEEPEST_KEY} parts; shorten it"])
    try:
        table = tomllib.loads(text)
    except ValueError as error:  # also a number of thousands of digits
        raise TableError(where, [f"not TOML: {error}"]) from error
    except RecursionError as error:
        raise TableError(where, ["nested too deep; write it flatter"]) from error
    faults = list(_too_much(table))
    if faults:
        raise TableError(where, faults)
    return table


def _too_much(table: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a table whatever it is for: too many values, or numbers that are too long.

    A number in hexadecimal digits may be of any length, and one of thousands of digits cannot even be shown.
    """
    left: list[tuple[str, dict[str, Any] | list[Any]]] = [("", table)]
    found = values = 0
    while left:
        at, inner = left.pop()
        is_table = isinstance(inner, dict)
        values += len(inner)
        if values > _MOST_VALUES:  # a fault of each would take long
            yield f"more than {_MOST_VALUES} values; give fewer"
            return
        for key, value in inner.items() if isinstance(inner, dict) else enumerate(inner):
            if isinstance(value, dict | list) or (
                isinstance(value, int) and not _LEAST <= value <= _GREATEST
            ):
                place = f"{at}.{key}".removeprefix(".") if is_table else f"{at}[{key}]"
                if not isinstance(value, int):
                    left.append((place[:_LONGEST_FAULT], value))
                elif found < _KEPT_FAULTS:
                    found += 1
                    yield f"{place}: a whole number that does not fit into 64 bits; give a smaller one"


def table_error(error: ValidationError, model: type[BaseModel], where: str) -> TableError:
    """A model's refusal as one that names each key and the fix.

    Args:
        error: What the model said.
        model: The model of the whole table.
        where: The file.
    """
    from iotxmpp.faulttexts import fault_texts  # noqa: PLC0415  # half a MB that a sound file spares

    faults = _placed(fault_texts(error, model, most=_KEPT_FAULTS), error)
    return TableError(where, faults, count=max(len(faults), error.error_count() - _KEPT_FAULTS + len(faults)))


def _placed(faults: Sequence[str], error: ValidationError) -> list[str]:
    """The faults, each of a table that a driver reads told at every key in it that is to blame."""
    inside = {
        ".".join(map(str, each["loc"])): list(islice(_unfit(each["input"]), _KEPT_FAULTS))
        for each in error.errors(include_url=False)
        if each["type"] == "value_error" and isinstance(each["input"], dict)
    }
    placed: list[str] = []
    for fault in faults:
        table, _, why = fault.partition(": ")
        found = inside.get(table, []) if why.startswith((_NO_TEXT, _NO_NUMBER)) else []
        placed += [f"{table}{place}: {what}" for place, what in found] or [fault]
    return placed


def _unfit(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What cannot be a value in such a table: its place there, and why."""
    left: list[tuple[str, Any]] = [("", table)]
    while left:  # and no recursion, for a file nests as deep as it likes
        at, value = left.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(value, dict):
            inner = [(f"{at}.{key}"[:_LONGEST_FAULT], each) for key, each in value.items()]
            yield from ((f"{at}.{key}", why) for key in value if (why := _not_carried(key, "its name")))
        elif isinstance(value, list):
            inner = [(f"{at}[{number}]"[:_LONGEST_FAULT], each) for number, each in enumerate(value)]
        elif isinstance(value, str) and (why := _not_carried(value, "text")):
            yield at, why
        elif isinstance(value, float) and not math.isfinite(value):
            yield at, f"{_NO_NUMBER}; give a number"
        left += reversed(inner)


def _not_carried(text: str, what: str) -> str:
    """Why XML cannot carry it; empty where it can."""
    try:
        check_text(text, what)
    except InvalidError as error:
        return str(error)
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_FAULT else f"{text[: _LONGEST_FAULT - 1]}…"
