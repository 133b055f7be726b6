"""JSON of others, taken strictly: what two readers could take for two things is refused."""

import json
import math
from collections.abc import Iterator
from typing import Any

from iotxmpp.errors import InvalidError


def parse_json(text: str, where: str, *, deepest: int) -> Any:  # noqa: ANN401  # whatever JSON holds
    """JSON text as a value: finite numbers, no key twice, not too deep.

    Args:
        text: The JSON.
        where: What an error begins with.
        deepest: Levels of lists and objects that are taken.

    Raises:
        InvalidError: It is no such JSON.
    """
    try:
        given = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_no_key_twice)
    except RecursionError as error:
        raise InvalidError(f"{where}: nested deeper than {deepest} levels") from error
    except ValueError as error:
        raise InvalidError(f"{where}: no JSON: {error}") from error
    for depth, level in enumerate(levels(given)):
        if depth > deepest:
            raise InvalidError(f"{where}: nested deeper than {deepest} levels")
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            raise InvalidError(f"{where}: holds a number that is not finite")
    return given


def levels(value: object) -> Iterator[list[Any]]:
    """A value by its depth: first itself, then what is in it, keys as well, then what is in that."""
    level: list[Any] = [value]
    while level:
        yield level
        level = [inner for each in level for inner in _inside(each)]


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a finite number")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found
