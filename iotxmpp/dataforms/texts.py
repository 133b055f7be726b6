"""Texts in fields: a text that a field cannot show as it is, is shown in quotes, as JSON has it."""

import json

from iotxmpp.errors import InvalidError
from iotxmpp.xmltext import check_text

_SHORTEST_QUOTED = 2


def quoted(text: str, *, blank: bool) -> str:
    """A text as one line that survives any client.

    Args:
        text: The text.
        blank: Whether an empty line would be read as an empty text.
    """
    if (not text and not blank) or text != text.strip() or not text.isprintable() or _looks_quoted(text):
        return json.dumps(text)
    try:
        return check_text(text, "")
    except InvalidError:
        return json.dumps(text)


def unquoted(line: str) -> str:
    """The text that such a line stands for; quotes that are no JSON stand for themselves."""
    if _looks_quoted(line):
        try:
            return str(json.loads(line))
        except ValueError:
            return line
    return line


def _looks_quoted(text: str) -> bool:
    text = text.strip()
    return len(text) >= _SHORTEST_QUOTED and text.startswith('"') and text.endswith('"')
