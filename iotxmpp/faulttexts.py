"""What a pydantic model refuses, in words for whoever wrote the table: key, fault and fix."""

import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

_LONGEST_NAME = 64
_MOST_COMPARED = 50
_LONGEST_PART = 400
_LONGEST_NUMBER = 1 << 64
_PYDANTICS = "Value error, "
_MADE_UP = ("json-or-python[", "lax-or-strict[", "tagged-union[")
"""How pydantic names steps that no file has."""

_BOUNDS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
_TEXTS = {
    "dict_type": "Input should be a table",
    "model_type": "Input should be a table",
    "tuple_type": "Input should be a list",
    "list_type": "Input should be a list",
    "path_type": "Input should be a path, as text",
    "invalid-json-value": "Input should be text, a number, true, false, a list or a table",
}
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    list: "a list",
    tuple: "a list",
    dict: "a table",
}
_TAGS = {"list": list, "tuple": tuple, "dict": dict, "literal": Literal}
_PLAIN_TAGS = {"int": int, "float": float, "bool": bool, "str": str, "path": Path}


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One of the kinds of value that may stand somewhere, with its bounds."""

    core: Any
    bounds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a fault is: the keys as the file has them, their table's model, and what may stand there."""

    keys: tuple[int | str, ...]
    table: type[BaseModel]
    kinds: tuple[_Kind, ...]
    tags: tuple[int, ...]


def fault_texts(
    error: ValidationError,
    model: type[BaseModel],
    inside: str = "",
    *,
    most: int = 100,
    kinds: Collection[str] = (),
) -> list[str]:
    """A line for each fault, with its key and the fix; of values, only numbers are repeated.

    Where several kinds of value may stand, the faults are those of the kind that was given.

    Args:
        error: What the model said.
        model: The model of the whole table.
        inside: The keys under which the table stands; empty for a whole file.
        most: Faults that are looked at.
        kinds: What pydantic calls the faults that are looked at; all of them unless given.
    """
    found = [each for each in error.errors(include_url=False) if not kinds or each["type"] in kinds][:most]
    left: dict[tuple[int | str, ...], str] = {}
    for each, place, loc in _of_the_given_kind(model, [dict(each) for each in found]):
        left.setdefault(loc, _fault(each, place, inside))
    return list(left.values())


def guess(name: str, known: Iterable[str]) -> str:
    """What goes behind an unknown name: the known one that was meant, or all of them."""
    import difflib  # noqa: PLC0415  # only whoever made a mistake pays for it

    names = list(known)
    if len(name) <= _LONGEST_NAME:
        likely = names
        if len(names) > _MOST_COMPARED:  # each comparison takes long
            likely = sorted(names, key=lambda each: _same_ends(name, each), reverse=True)[:_MOST_COMPARED]
        close = difflib.get_close_matches(name, likely, n=1)
        if close:
            return f": did you mean {close[0]}?"
    return f"; known: {', '.join(names) or 'none'}"


def _same_ends(one: str, other: str) -> int:
    """How many characters two names begin and end with alike."""
    return _same_start(one, other) + _same_start(one[::-1], other[::-1])


def _same_start(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _of_the_given_kind(
    model: type[BaseModel], found: Sequence[dict[str, Any]]
) -> list[tuple[dict[str, Any], _Place, tuple[int | str, ...]]]:
    """The faults, but for those of kinds of value that were not given."""
    placed = [(each, _place(model, each["loc"]), each["loc"]) for each in found]
    branches: dict[tuple[int | str, ...], dict[tuple[int | str, ...], bool]] = {}
    for each, place, loc in placed:
        for at in place.tags:
            fits = branches.setdefault(loc[:at], {})
            is_other = len(loc) == at + 1 and _is_another_kind(each["type"])
            fits[loc[: at + 1]] = fits.get(loc[: at + 1], True) and not is_other
    kept = []
    for each, place, loc in placed:
        told, where, at = each, place, loc
        for tag in place.tags:
            fits = branches[loc[:tag]]
            chosen = next((branch for branch, is_fit in fits.items() if is_fit), None)
            if chosen is None:
                where = _place(model, loc[:tag])
                told, at = {**each, "type": "kinds"}, loc[:tag]
                break
            if loc[: tag + 1] != chosen:
                break
        else:
            kept.append((told, where, at))
            continue
        if told["type"] == "kinds":
            kept.append((told, where, at))
    return kept


def _is_another_kind(fault: str) -> bool:
    return fault.endswith(("_type", "_parsing", "_from_float")) or fault == "literal_error"


def _fault(found: Mapping[str, Any], place: _Place, inside: str) -> str:
    kind, name = found["type"], _dotted(place.keys, inside)
    if kind == "extra_forbidden":
        table = _dotted(place.keys[:-1], inside)
        key = _cut(str(place.keys[-1]))
        return f"unknown key {key}{f' in {table}' if table else ''}{guess(key, _keys(place.table))}"
    if kind == "missing":
        return f"{name}: missing{_to_write(place)}"
    text = str(found["msg"]).removeprefix(_PYDANTICS)
    if kind == "kinds":
        text = f"Input should be {_either(place.kinds)}"
    elif kind in _BOUNDS:
        text = _bound(text, place, found["input"])
    else:
        text = _TEXTS.get(kind, text)
    return f"{name + ': ' if name else ''}{text}"


def _to_write(place: _Place) -> str:
    if len(place.kinds) == 1 and get_origin(place.kinds[0].core) is Literal:
        values = get_args(place.kinds[0].core)
        if len(values) == 1:
            return f"; write {place.keys[-1]} = {_toml(values[0])}"
    return ""


def _toml(value: object) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else str(value)
    )


def _bound(text: str, place: _Place, given: object) -> str:
    bounds = next((kind.bounds for kind in place.kinds if kind.bounds), {})
    if {"ge", "le"} <= bounds.keys():
        text = f"Input should be from {bounds['ge']} to {bounds['le']}"
    # Python refuses to write down a number of thousands of digits.
    is_short = isinstance(given, float) or (isinstance(given, int) and abs(given) < _LONGEST_NUMBER)
    return f"{text}, not {_toml(given)}" if is_short else text


def _either(kinds: Sequence[_Kind]) -> str:
    words: list[str] = []
    for kind in kinds:
        origin = get_origin(kind.core)
        if origin is Literal:
            words += [_toml(value) for value in get_args(kind.core)]
        else:
            words.append("a table" if _is_model(kind.core) else _WORDS.get(origin or kind.core, "another"))
    several = list(dict.fromkeys(words))
    return " or ".join((", ".join(several[:-1]), several[-1])) if len(several) > 1 else several[0]


def _dotted(keys: Sequence[int | str], inside: str) -> str:
    text = inside
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{_cut(key)}" if text else _cut(key)
    return text


def _place(model: type[BaseModel], loc: Sequence[int | str]) -> _Place:
    keys: list[int | str] = []
    tags: list[int] = []
    kinds: tuple[_Kind, ...] = (_Kind(core=model, bounds={}),)
    table = model
    for at, step in enumerate(loc):
        named = [kind for kind in kinds if _is_named(kind.core, str(step))]
        if len(kinds) > 1 and named:
            tags.append(at)
            kinds = (named[0],)
            continue
        if str(step).startswith(_MADE_UP):
            continue
        table = next((kind.core for kind in kinds if _is_model(kind.core)), table)
        keys.append(step)
        kinds = _inside(kinds, str(step))
    return _Place(keys=tuple(keys), table=table, kinds=kinds, tags=tuple(tags))


def _is_named(core: Any, tag: str) -> bool:  # noqa: ANN401  # an annotation
    """Whether that is how pydantic names a kind of value in a fault's place."""
    if _is_model(core):
        return bool(core.__name__ == tag)
    if core is Path and tag.startswith(_MADE_UP):
        return True
    name = tag.removeprefix("constrained-")
    if name.startswith("function-"):
        name = name.rpartition(", ")[2].rstrip("]")
    head, bracket, _ = name.partition("[")
    if bracket:
        return get_origin(core) is _TAGS.get(head, ...)
    return core is _PLAIN_TAGS.get(name, ...)


def _inside(kinds: Sequence[_Kind], key: str) -> tuple[_Kind, ...]:
    """The kinds of value that may stand at a key."""
    for kind in kinds:
        if _is_model(kind.core):
            for name, field in kind.core.model_fields.items():
                if key in (name, field.alias):
                    return tuple(_kinds(field.annotation, field.metadata))
        elif get_origin(kind.core) in (dict, list, tuple) and get_args(kind.core):
            last = [part for part in get_args(kind.core) if part is not Ellipsis][-1]
            return tuple(_kinds(last))
    return ()


def _kinds(annotation: Any, metadata: Iterable[object] = ()) -> list[_Kind]:  # noqa: ANN401  # an annotation
    if get_origin(annotation) is Annotated:
        core, *more = get_args(annotation)
        return _kinds(core, [*metadata, *more])
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return [kind for part in parts for kind in _kinds(part, metadata)]
    bounds: dict[str, float] = {}
    for each in metadata:
        for one in getattr(each, "metadata", None) or [each]:
            bounds |= {key: getattr(one, key) for key in _BOUNDS.values() if hasattr(one, key)}
    return [_Kind(core=annotation, bounds=bounds)]


def _is_model(kind: Any) -> bool:  # noqa: ANN401  # an annotation
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PART else f"{text[: _LONGEST_PART - 1]}…"
