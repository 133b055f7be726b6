"""Asks a device that has several sessions there, of which some may be dead and still shown by the server."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element

from iotxmpp.errors import LinkDownError, NoAnswerError, UnreachableError
from iotxmpp.link import REQUEST_TIMEOUT, Link

NEXT_AFTER: Final = 3.0
"""Seconds without an answer after which the next session is asked, too."""


async def ask_each(
    link: Link,
    sessions: Callable[[], Sequence[str]],
    payload: Element,
    *,
    answered: Callable[[str], None],
    timeout: float = REQUEST_TIMEOUT,
) -> Element | None:
    """Asks one session after another, until one has answered; only for what is harmless to ask twice.

    A server shows the session of a program that was killed until that cannot be resumed any more. It looks
    like the one that is alive.

    Args:
        link: The link to ask by.
        sessions: The full JIDs, the likeliest first, at least one; looked at anew before each next one.
        payload: What to ask.
        answered: Told which session it was that answered, or refused.
        timeout: Seconds that each has for its answer.

    Returns:
        The first answer's payload.

    Raises:
        StanzaError: The first answer was a refusal; `UnreachableError` where all sessions are gone.
        LinkDownError: The link is down or went down.
        NoAnswerError: No answer in time.
    """
    asked: dict[str, asyncio.Task[Element | None]] = {}

    def ask_next() -> None:
        to = next((jid for jid in sessions() if jid not in asked), None)
        if to is not None:
            asked[to] = asyncio.create_task(link.call(to, payload, timeout=timeout), name=f"ask {to}")

    try:
        ask_next()
        while (by := _first(asked)) is None:
            waiting = [task for task in asked.values() if not task.done()]
            if not waiting:
                raise _failure(asked.values())
            await asyncio.wait(waiting, timeout=NEXT_AFTER, return_when=asyncio.FIRST_COMPLETED)
            ask_next()
    finally:
        for task in asked.values():
            task.cancel()
        await asyncio.gather(*asked.values(), return_exceptions=True)
    if not isinstance(asked[by].exception(), LinkDownError):
        answered(by)  # after the last wait, so that whoever acts on it finds the answer
    return asked[by].result()


def _first(asked: Mapping[str, "asyncio.Task[Element | None]"]) -> str | None:
    """The session that answered."""
    for to, task in asked.items():
        if task.done() and not isinstance(task.exception(), NoAnswerError | UnreachableError):
            return to
    return None


def _failure(tasks: Iterable["asyncio.Task[Element | None]"]) -> BaseException:
    """Why none answered: of one that is gone nothing is to be expected, of one that is silent all."""
    errors = [error for task in tasks if (error := task.exception()) is not None]
    return next((each for each in errors if isinstance(each, NoAnswerError)), errors[0])
