"""The numbers that commands to text boards are sent with (docs/serial.md, 3). No I/O."""

import random

MOST_NUMBER = 0x7FFF
"""The greatest number: an Uno's `int` holds it."""


class Numbering:
    """Gives one number after the other, 1 to `MOST_NUMBER`, and then 1 again.

    A sketch may answer a command long after the host went on, and knows nothing of sessions: a number that
    was just used must not stand for another command, whoever sends that.

    Args:
        first: The first number; random unless given, as the program may have run a moment ago.
    """

    def __init__(self, first: int | None = None) -> None:
        start = random.randrange(MOST_NUMBER) if first is None else first - 1  # noqa: S311  # no secret
        self._last = start % MOST_NUMBER

    def next(self) -> int:
        """The next number."""
        self._last = self._last % MOST_NUMBER + 1
        return self._last


OF_THIS_PROGRAM = Numbering()
"""Those of all sessions of this program, so that the one after a replug goes on."""
