"""Texts and free tables of a profile: what cannot travel, and what is too much, is refused before it runs."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from iotxmpp.xmltext import check_text

MOST_SOURCE_VALUES, MOST_SOURCE_CHARACTERS = 64, 4000
"""Values and characters that the source of one channel or command may hold."""


def _can_travel(text: str) -> str:
    return check_text(text, "text")


def _names_a_role(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; name the least role, such as operator")
    return text


Text = Annotated[str, AfterValidator(_can_travel)]
"""Text that XML can carry."""

Role = Annotated[str, Field(min_length=1), AfterValidator(_can_travel), AfterValidator(_names_a_role)]
"""A role's name."""


def values_in(value: object) -> Iterator[object]:
    """A value and all that its tables and lists hold, of all depths; tables and lists themselves, too."""
    left = [value]
    while left:  # and no recursion, for a file nests as deep as it likes
        each = left.pop()
        yield each
        if isinstance(each, dict):
            left += each.values()
        elif isinstance(each, list):
            left += each


def check_free(table: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Returns a driver's own table if its numbers are finite, and XML can carry its texts.

    Raises:
        ValueError: One is not, or it cannot.
    """
    for value in values_in(table):
        if isinstance(value, dict):
            for key in value:
                _can_travel(key)
        elif isinstance(value, str):
            _can_travel(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("nan and inf are no values; give a number")
    return table


def check_size(source: Mapping[str, JsonValue], *, has_count: bool = False) -> None:
    """Refuses a source that is too much for one channel or command.

    Args:
        source: The table.
        has_count: Whether each channel takes one entry of each list.

    Raises:
        ValueError: It holds too many values or characters.
    """
    values = characters = 0
    for key, value in source.items():
        each = value if has_count and isinstance(value, list) else [value]
        sizes = [_size(one) for one in each]
        values += max((size[0] for size in sizes), default=0)
        characters += len(key) + max((size[1] for size in sizes), default=0)
    if values > MOST_SOURCE_VALUES or characters > MOST_SOURCE_CHARACTERS:
        raise ValueError(
            f"source: more than {MOST_SOURCE_VALUES} values or {MOST_SOURCE_CHARACTERS} characters;"
            " give fewer"
        )


def _size(value: JsonValue) -> tuple[int, int]:
    """How many values of all depths there are, and characters in their keys and texts."""
    values = characters = 0
    for each in values_in(value):
        values += 1
        if isinstance(each, dict):
            characters += sum(map(len, each))
        elif isinstance(each, str):
            characters += len(each)
    return values, characters


FreeTable = Annotated[dict[str, JsonValue], AfterValidator(check_free)]
"""A table that a driver reads."""
