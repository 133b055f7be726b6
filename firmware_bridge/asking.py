"""Stop and wait: one frame to the board is unanswered at a time, and is sent again. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_WAIT = 0.25
"""Seconds after which an unanswered frame is sent again; doubled each time."""

MOST_RETRIES = 5
"""How often it is sent again; after one more wait the board is lost."""

LONGEST_WAIT = FIRST_WAIT * 2**MOST_RETRIES


@dataclass(kw_only=True, slots=True)
class Question:
    """A frame that the board answers.

    Attributes:
        about: What it asks, for people.
        key: What its answer is known by.
        body: Makes the body; called at each sending, with the time.
        token: The call that it is, or None.
        tries: How often it was sent.
    """

    about: str
    key: tuple[object, ...]
    body: Callable[[float], bytes]
    token: int | None = None
    tries: int = field(default=0)


class Asking:
    """The one question that is unanswered.

    Args:
        send: Takes the body of each frame that goes out.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._wait = FIRST_WAIT
        self.question: Question | None = None
        self.due: float | None = None

    def ask(self, question: Question, now: float) -> None:
        """Sends a question; there must be none."""
        self.question = question
        self._wait = FIRST_WAIT
        self._transmit(question, now)

    def answers(self, *key: object) -> Question | None:
        """The question that has this key, if it is the one; it is answered then."""
        question = self.question
        if question is None or question.key != key:
            return None
        self.drop()
        return question

    def drop(self) -> None:
        """Forgets the question."""
        self.question = None
        self.due = None

    def put_off(self, now: float) -> None:
        """The board is there, but has no answer yet: it is asked again later, without end."""
        if self.question is not None:
            self.question.tries = 1
            self.due = now + self._wait
            self._wait = min(self._wait * 2, 1.0)

    def again(self, now: float) -> bool | None:
        """Sends the question again if that is due.

        Returns:
            True if it was sent, False if it was sent often enough, None if nothing is due.
        """
        if self.question is None or self.due is None or now < self.due:
            return None
        if self.question.tries > MOST_RETRIES:
            return False
        self._transmit(self.question, now)
        return True

    def _transmit(self, question: Question, now: float) -> None:
        question.tries += 1
        self.due = now + self._wait
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        self._send(question.body(now))
