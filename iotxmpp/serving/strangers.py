"""Which refusals are written down: a few a minute of each stranger, so that none hides those of another."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError

NOTED: Final = 6
"""Refusals of one account that are written down within `WITHIN`."""

WITHIN: Final = 60.0
"""Seconds after which what was passed over is counted, and it begins anew."""

MOST_ACCOUNTS: Final = 100
"""Accounts that are told apart; all others share one count."""

_OTHERS: Final = ""


@dataclass(slots=True)
class _Count:
    """One account's refusals since a moment."""

    since: float
    noted: int = 0
    passed_over: int = 0


class Strangers:
    """Limits what is written down of those who have no role here; of the others, nothing."""

    def __init__(
        self,
        tell: Callable[[str, int], None],
        *,
        known: Callable[[str], bool] = lambda _jid: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes it.

        Args:
            tell: Told how many refusals of a bare JID were passed over, once its time is up, also where
                nobody comes any more; an empty JID stands for all who were not told apart.
            known: Whether a JID has a role here; what is refused to those is always written down.
            clock: Gives seconds that nobody sets.
        """
        self._tell = tell
        self._known = known
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def noted(self, jid: str) -> bool:
        """Whether a refusal of this JID is written down; else it is counted."""
        if self._known(jid):
            return True
        self._look()
        count = self._count(account_of(jid))
        if count.noted < NOTED:
            count.noted += 1
            return True
        count.passed_over += 1
        self._wake()
        return False

    def close(self) -> None:
        """Tells what was passed over so far, and ends; a second time does nothing."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, {}
        self._tell_each(counts)

    def _count(self, account: str) -> _Count:
        if account not in self._counts and len(self._counts) >= MOST_ACCOUNTS:
            account = _OTHERS
        return self._counts.setdefault(account, _Count(since=self._clock()))

    def _look(self) -> None:
        """Ends the counts whose time is up."""
        now = self._clock()
        over = {account: count for account, count in self._counts.items() if now - count.since >= WITHIN}
        for account in over:
            del self._counts[account]
        self._tell_each(over)

    def _tell_each(self, counts: dict[str, _Count]) -> None:
        for account, count in counts.items():
            if count.passed_over:
                self._tell(account, count.passed_over)

    def _wake(self) -> None:
        """Has the counts looked at when the next one's time is up, also where nobody comes any more."""
        waiting = [count.since for count in self._counts.values() if count.passed_over]
        if self._timer is not None or self._closed or not waiting:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nothing runs: the next refusal, or the end, tells it
            return
        self._timer = loop.call_later(max(0.0, min(waiting) + WITHIN - self._clock()), self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._look()
        self._wake()


def account_of(jid: str) -> str:
    """The bare JID of a sender; of a server, its own address."""
    try:
        return bare_jid(jid)
    except InvalidError:  # a server's own address
        return jid[:256]
