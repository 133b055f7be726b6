"""Files of settings in TOML: read within bounds, their faults told by file, key and fix."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from iotxmpp.errors import ConfigError
from iotxmpp.xmltext import printable

MOST_BYTES = 32_768
"""Bytes that a profile may have."""

_DEEPEST_KEY = 16
_SHOWN_FAULTS = 5
_KEPT_FAULTS = 100
_LONGEST_NAME = 64
_LONGEST_FAULT = 400
# Reading a key takes time by the square of its parts.
_KEY_PART = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_DEEP_KEY = re.compile(rf"(?<![\w-])(?:{_KEY_PART}[ \t]*+\.[ \t]*+){{{_DEEPEST_KEY}}}")
_PYDANTICS = "Value error, "


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
    """The text of such a file.

    Raises:
        TableError: It cannot be read, is longer than `most` bytes, or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)  # no more of an endless one
        text = data.decode() if len(data) <= most else None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a zero byte in the path
        raise TableError(str(path), [f"cannot be read: {error}"]) from error
    if text is None:
        raise TableError(str(path), [f"longer than {most} bytes; give a shorter file"])
    return text


def parse_table(text: str, where: str, *, most: int = MOST_BYTES) -> dict[str, Any]:
    """The table that a TOML text gives.

    Args:
        text: The TOML.
        where: The file's name, for errors.
        most: Characters that it may have.

    Raises:
        TableError: It is no TOML, with the line and the column; or it is too long or too deep.
    """
    if len(text) > most:
        raise TableError(where, [f"longer than {most} bytes; give a shorter file"])
    deep = _DEEP_KEY.search(text)
    if deep is not None:
        line = text.count("\n", 0, deep.start()) + 1
        raise TableError(where, [f"line {line}: a key of more than {_DEEPEST_KEY} parts; shorten it"])
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also a number of thousands of digits
        raise TableError(where, [f"not TOML: {error}"]) from error
    except RecursionError as error:
        raise TableError(where, ["nested too deep; write it flatter"]) from error


def table_error(error: ValidationError, model: type[BaseModel], where: str) -> TableError:
    """A model's refusal as one that names each key and the fix; values are never repeated but by the model.

    Args:
        error: What the model said.
        model: The model of the whole table.
        where: The file.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    faults = [_fault(model, each["type"], each["loc"], each["msg"]) for each in found[:_KEPT_FAULTS]]
    return TableError(where, faults, count=len(found))


def guess(name: str, known: Iterable[str]) -> str:
    """What goes behind an unknown name: the known one that was meant, or all of them."""
    import difflib  # noqa: PLC0415  # only whoever made a mistake pays for it

    names = list(known)
    if len(name) <= _LONGEST_NAME:
        close = difflib.get_close_matches(name, names, n=1)
        if close:
            return f": did you mean {close[0]}?"
    return f"; known: {', '.join(names) or 'none'}"


def _fault(model: type[BaseModel], kind: str, path: tuple[int | str, ...], text: str) -> str:
    parts, at = _places(model, path)
    place = ".".join(parts)
    if kind == "extra_forbidden":
        inside = f" in {'.'.join(parts[:-1])}" if parts[:-1] else ""
        key = parts[-1]
        return f"unknown key {key}{inside}{guess(key, _keys(at))}"
    if kind == "missing":
        return f"{place}: missing"
    return f"{place + ': ' if place else ''}{text.removeprefix(_PYDANTICS)}"


def _places(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The keys on the way to a fault, as the file has them, and the model of the last one's table."""
    parts: list[str] = []
    here: Any = model
    table = model
    for step in path:
        variants = _variants(here)
        if any(_is_model(each) and each.__name__ == step for each in variants):
            here = next(each for each in variants if _is_model(each) and each.__name__ == step)
            continue  # pydantic names which of several kinds of value it tried; the file has no such key
        models = [each for each in variants if _is_model(each)]
        if models:
            table = models[0]
        parts.append(_cut(str(step)))
        here = _inside(variants, str(step))
    return parts, table


def _inside(variants: Sequence[Any], key: str) -> Any:  # noqa: ANN401  # an annotation
    """The kind of the value that stands at a key."""
    for each in variants:
        if _is_model(each):
            for name, field in each.model_fields.items():
                if key in (name, field.alias):
                    return field.annotation
        elif get_origin(each) in (dict, list, tuple) and get_args(each):
            return next(reversed([kind for kind in get_args(each) if kind is not Ellipsis]))
    return None


def _variants(kind: Any) -> list[Any]:  # noqa: ANN401  # an annotation
    if get_origin(kind) is Annotated:
        return _variants(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [part for each in get_args(kind) for part in _variants(each)]
    return [kind]


def _is_model(kind: Any) -> bool:  # noqa: ANN401  # an annotation
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_FAULT else f"{text[: _LONGEST_FAULT - 1]}…"
