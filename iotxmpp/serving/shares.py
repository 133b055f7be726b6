"""How much of the audit log each account may fill, so that nobody pushes the lines of others out of it."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = 12 * 2**20
"""Bytes of lines that an account may leave at once."""

AN_HOUR: Final = 7 * 2**18
"""Bytes that it may leave in each hour beyond that: 1.75 MiB.

So in 24 hours it leaves no more than 54 MiB, and the log keeps 56 MiB at least.
"""

OF_A_DOMAIN: Final = 2
"""Shares that all accounts have together to which a domain's grant gives their role."""

MOST_ACCOUNTS: Final = 1000
"""Accounts whose shares are told apart; of more, the one that left no line for longest begins anew."""

_A_SECOND = AN_HOUR / 3600


@dataclass(slots=True)
class _Share:
    left: float
    at: float


class Shares:
    """What is left of the shares; whole ones at the start, and they grow again with time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes it; `clock` gives seconds that nobody sets."""
        self._clock = clock
        self._accounts: OrderedDict[str, _Share] = OrderedDict()
        self._groups: dict[str, _Share] = {}

    def has_room(self, account: str, group: str) -> bool:
        """Whether an account may leave one more line.

        Args:
            account: Its bare JID.
            group: The domain by which it has its role; empty for those who have none, who have one share
                together; the account again where it has a share of its own alone.
        """
        if group and self._account(account).left <= 0:
            return False
        return group == account or self._group(group).left > 0

    def charge(self, account: str, group: str, size: int) -> None:
        """A line of so many bytes was written for it."""
        if group:
            self._account(account).left -= size
        if group != account:
            self._group(group).left -= size

    def _account(self, account: str) -> _Share:
        share = self._grown(self._accounts, account, 1)
        self._accounts.move_to_end(account)
        if len(self._accounts) > MOST_ACCOUNTS:
            self._accounts.popitem(last=False)
        return share

    def _group(self, group: str) -> _Share:
        # There are no more of these than grants.
        return self._grown(self._groups, group, OF_A_DOMAIN if group else 1)

    def _grown(self, shares: dict[str, _Share], name: str, times: int) -> _Share:
        now = self._clock()
        share = shares.get(name)
        if share is None:
            share = shares[name] = _Share(left=times * AT_ONCE, at=now)
        left, most = share.left + (now - share.at) * times * _A_SECOND, times * AT_ONCE
        share.left, share.at = min(left, most), now
        return share
