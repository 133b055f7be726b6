"""How a desk shows what may be long: shortened to a bound, with the rest in pieces that fit one answer."""

import json
from dataclasses import fields
from itertools import islice
from typing import Any, Final

from iotxmpp.controller.queued import QueuedCommand
from iotxmpp.strictjson import levels

PAGE: Final = 32 * 1024
"""Bytes of JSON in one answer that has many rows; half of what a result may be."""

PIECE: Final = 8_000
"""Characters of one piece: as JSON in XML they may become seven times as many bytes."""

IN_LIST: Final = 200
"""Characters of one value's JSON in a list."""

ALONE: Final = 4_000
"""The same of a command that is shown alone."""

DEEPEST: Final = 32
"""Lists in lists that are shown as they are: what holds them is nested, too."""

LONG: Final = ("name", "arguments", "result", "text")
"""What of a command may be long."""


def whole_text(value: object) -> str:
    """A value's JSON, in ASCII."""
    return json.dumps(value, separators=(",", ":"))


def shortened(value: object, longest: int) -> tuple[Any, int]:
    """A value as it is shown.

    Returns:
        The value itself and 0, where its JSON is no longer than that; else how the value or its JSON begins,
        as text with an ellipsis, and how many characters its JSON has.
    """
    text = whole_text(value)
    if len(text) <= longest and not _is_deep(value):
        return value, 0
    start = value if isinstance(value, str) else text
    return f"{start[: min(longest, IN_LIST) // 2]}…", len(text)


def shown_command(command: QueuedCommand, longest: int) -> dict[str, Any]:
    """A command as data, what is long of it shortened.

    Returns:
        As `QueuedCommand.as_data`; with `shortened` where something was: the characters that its JSON has in
        full, by its name.
    """
    data = {each.name: getattr(command, each.name) for each in fields(command)}
    marks: dict[str, int] = {}
    for name in LONG:
        data[name], size = shortened(data[name], longest)
        if size:
            marks[name] = size
    return {**data, "shortened": marks} if marks else data


def piece(value: object, start: int) -> dict[str, Any]:
    """A part of a value's JSON.

    Returns:
        `text` from there on, as much as one answer takes, and `size`, the characters of it all.
    """
    text = whole_text(value)
    begin = max(0, start)
    return {"text": text[begin : begin + PIECE], "size": len(text)}


def _is_deep(value: object) -> bool:
    return next(islice(levels(value), DEEPEST + 1, None), None) is not None
