"""Which refusals are written down: some a minute of each account, and then how many more there were."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError

OF_STRANGERS: Final = 6
"""Refusals within `WITHIN` that are written down of one account without a role."""

OF_OTHERS: Final = 60
"""The same of one that has a role."""

WITHIN: Final = 60.0
"""Seconds after which what was passed over is counted, and it begins anew."""

MOST_STRANGERS: Final = 100
"""Accounts without a role that are told apart; all others share one count."""

MOST_OTHERS: Final = 1000
"""The same of accounts that have one."""

_ALL: Final = ""


@dataclass(slots=True)
class _Count:
    """One account's refusals since a moment."""

    since: float
    noted: int = 0
    passed_over: int = 0


class Refusals:
    """Limits what is written down of refusals, and counts the rest."""

    def __init__(
        self,
        tell: Callable[[str, int], bool],
        *,
        noted: int,
        accounts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes it.

        Args:
            tell: Told how many refusals of a bare JID were passed over, once its time is up, also where
                nobody comes any more; an empty JID stands for all who were not told apart. Where it answers
                that it had no room for that, the number is told with those of the latter.
            noted: Refusals of one account that are written down within `WITHIN`.
            accounts: How many are told apart.
            clock: Gives seconds that nobody sets.
        """
        self._tell = tell
        self._noted = noted
        self._accounts = accounts
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def noted(self, account: str, *, room: bool = True) -> bool:
        """Whether a refusal of this account is written down; else it is counted.

        Args:
            account: Its bare JID.
            room: Whether there is room for a line of it at all.
        """
        self._look()
        count = self._count(account)
        if room and count.noted < self._noted:
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
        for _ in range(2):  # what has no room of its own is told with all the others
            counts, self._counts = self._counts, {}
            self._tell_each(counts)

    def _count(self, account: str) -> _Count:
        if account not in self._counts and len(self._counts) >= self._accounts:
            account = _ALL
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
            if count.passed_over and not self._tell(account, count.passed_over) and account != _ALL:
                everyone = self._counts.setdefault(_ALL, _Count(since=self._clock()))
                everyone.passed_over += count.passed_over

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
