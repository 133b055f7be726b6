"""Links that a simulation can cut without a word, and keep down for a while."""

import time
from dataclasses import dataclass

from iotxmpp.account import Account
from iotxmpp.backoff import Backoff
from iotxmpp.memory.link import MemoryLink
from iotxmpp.xmpp import XmppLink


@dataclass(kw_only=True)
class Patience(Backoff):
    """The usual delays between attempts, after the time that a link must stay down.

    Attributes:
        until: No attempt before this time of the steady clock.
    """

    until: float = 0.0

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt."""
        return max(0.0, self.until - time.monotonic()) + super().next_delay()


class CuttableLink(XmppLink):
    """A link to a real server that can be cut."""

    def __init__(self, account: Account) -> None:
        """Makes it, not yet entered."""
        self._patience = Patience()
        super().__init__(account, backoff=self._patience)

    def cut_for(self, seconds: float) -> None:
        """Ends the connection, as if the network were gone, and comes back after so many seconds."""
        self._patience.until = time.monotonic() + seconds
        if self._client is not None and self.state.up:
            self._client.abort()


AnyLink = CuttableLink | MemoryLink


def cut_for(link: AnyLink, seconds: float) -> None:
    """Cuts a link, with no word to the server, and brings it back after so many seconds."""
    if isinstance(link, CuttableLink):
        link.cut_for(seconds)
    elif link.entered:
        link.cut("the simulation cut it", resume=False, back_after=seconds)
