"""A session at a server in memory, and the client's end of it."""

from collections.abc import Callable
from typing import Protocol
from xml.etree.ElementTree import Element

from iotxmpp.errors import StanzaError
from iotxmpp.link import Item, Message, Presence, Request

Outcome = Element | StanzaError | None
"""How a request ended: the answer's payload, none, or an error."""

Reply = Callable[[Outcome], None]


class End(Protocol):
    """What a session's client takes from the server."""

    def take_item(self, item: Item) -> None:
        """Takes a notification."""
        ...

    def take_presence(self, presence: Presence) -> None:
        """Takes a followed account's presence."""
        ...

    def take_message(self, message: Message) -> None:
        """Takes a message."""
        ...

    def take_request(self, request: Request, reply: Reply) -> None:
        """Takes a request, and replies once."""
        ...

    def admits(self, follower: str) -> bool | None:
        """Decides a request to follow; None leaves it to others."""
        ...

    def keeps(self, follower: str) -> bool:
        """Whether one that was admitted before still follows."""
        ...


class Session:
    """One session, from the server's side.

    Attributes:
        jid: Its full JID.
        account: Its bare JID.
        presence: What it announced last; None before that.
        held: Cut, and waits to be resumed (XEP-0198): traffic both ways is kept.
        ended: Over for good.
    """

    def __init__(self, jid: str, end: End) -> None:
        self.jid = jid
        self.account = jid.partition("/")[0]
        self.presence: Presence | None = None
        self.held = False
        self.ended = False
        self._end = end
        self._kept: list[Callable[[], None]] = []

    @property
    def available(self) -> bool:
        """Whether it takes what is addressed to its account."""
        return self.presence is not None and self.presence.available

    def deliver(self, give: Callable[[End], None]) -> None:
        """Gives something to the client; after the resumption where it is held."""
        self.pass_on(lambda: give(self._end))

    def pass_on(self, act: Callable[[], None]) -> None:
        """Does something that needs the connection: now, at the resumption, or never."""
        if self.held:
            self._kept.append(act)
        elif not self.ended:
            act()

    def admits(self, follower: str) -> bool | None:
        """Asks the client; None where it decides nothing."""
        return None if self.held else self._end.admits(follower)

    def keeps(self, follower: str) -> bool:
        """Asks the client whether one that was admitted before still follows."""
        return self.held or self._end.keeps(follower)

    def resume(self) -> None:
        """Goes on, with what was kept."""
        self.held = False
        kept, self._kept = self._kept, []
        for act in kept:
            act()

    def finish(self) -> None:
        """Ends; what was kept is lost."""
        self.ended = True
        self.held = False
        self._kept.clear()
