"""How far a running command is: told by the command, from the loop or from its thread."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

GAP = 0.2
"""Least seconds between two messages about one call."""

Teller = Callable[[float | None, str], Awaitable[None]]
"""Tells the caller how much is done and what is being done."""

_current: ContextVar["Reporter | None"] = ContextVar("iotxmpp_progress", default=None)


def progress(fraction: float | None = None, text: str = "") -> None:
    """Tells the caller of the running command how far it is.

    Call it in a command's function, on the loop or in a thread, as often as you like: at most five a second
    go out, and always the newest. Elsewhere it does nothing.

    Args:
        fraction: How much is done, from 0 to 1; None where nobody can say.
        text: What it does now, for people.
    """
    reporter = _current.get()
    if reporter is not None:
        reporter.report(fraction, text)


class Reporter:
    """Takes the progress of one call and tells it, not too often.

    Attributes:
        fraction: How much is done; None where nobody can say.
        text: What is being done; empty where nobody said.
    """

    def __init__(self, tell: Teller | None) -> None:
        """Makes one, on the loop; `tell` is None where nobody is to be told."""
        self.fraction: float | None = None
        self.text = ""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._news = False
        self._over = False

    def enter(self) -> None:
        """Takes what `progress` says in the running task, and in what it starts."""
        _current.set(self)

    def report(self, fraction: float | None, text: str) -> None:
        """Takes progress, from any thread."""
        if not self._over and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, fraction, text)

    def end(self) -> None:
        """Tells nothing any more."""
        self._over = True
        if self._task is not None:
            self._task.cancel()

    def _take(self, fraction: float | None, text: str) -> None:
        if self._over:
            return
        self.fraction, self.text = fraction, text
        self._news = True
        if self._task is None and self._tell is not None:
            self._task = asyncio.create_task(self._run(self._tell), name="progress")

    async def _run(self, tell: Teller) -> None:
        while self._news:
            self._news = False
            await tell(self.fraction, self.text)
            await asyncio.sleep(GAP)
        self._task = None
