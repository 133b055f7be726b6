"""A link's requests that wait for their answers."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from iotxmpp.errors import IotxmppError, LinkDownError, NoAnswerError, StanzaError

T = TypeVar("T")


class Pending:
    """Waits for answers, each no longer than its timeout or than the link is up."""

    def __init__(self) -> None:
        self._fail: set[Callable[[IotxmppError], None]] = set()

    def fail(self, reason: str) -> None:
        """The link went down: every waiting request fails at once."""
        for settle in tuple(self._fail):
            settle(LinkDownError(reason))

    async def answer(self, send: Callable[[Callable[[T | StanzaError], None]], None], timeout: float) -> T:
        """Sends a request, which takes what settles it, and returns the answer.

        Raises:
            StanzaError: The answer is an error.
            LinkDownError: The link went down first.
            NoAnswerError: Nothing came in time.
        """
        answer: asyncio.Future[T | IotxmppError] = asyncio.get_running_loop().create_future()

        def settle(outcome: T | IotxmppError) -> None:
            if not answer.done():
                answer.set_result(outcome)

        self._fail.add(settle)
        try:
            send(settle)
            async with asyncio.timeout(timeout):
                outcome = await answer
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:g} s: it may have been done") from error
        finally:
            self._fail.discard(settle)
        if isinstance(outcome, IotxmppError):
            raise outcome
        return outcome
