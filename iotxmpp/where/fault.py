"""What is wrong with an expression, and where in it."""

import unicodedata

from iotxmpp.errors import InvalidError
from iotxmpp.xmltext import printable

_SHOWN = 60


class WhereError(InvalidError):
    """An expression that chooses devices is wrong; its text has a caret under the place.

    Attributes:
        at: Where in the expression, in characters from its start.
    """

    own_lines = True

    def __init__(self, text: str, at: int, fault: str) -> None:
        shown, caret = _excerpt(text, at)
        super().__init__(f"where: {printable(fault)}\n  {shown}\n  {' ' * caret}^")
        self.at = at


def _excerpt(text: str, at: int) -> tuple[str, int]:
    """The part of the expression around a place as one line, and the column of the place in it."""
    start, end = max(0, at - _SHOWN), min(len(text), at + _SHOWN)
    before = ("…" if start else "") + printable(text[start:at])
    after = printable(text[at:end]) + ("…" if end < len(text) else "")
    return before + after, sum(map(_columns, before))


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
