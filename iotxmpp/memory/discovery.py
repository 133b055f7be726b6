"""What a link in memory answers to service discovery (XEP-0030) of its session: what it advertised."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from iotxmpp import discovery
from iotxmpp.discovery import DISCO_INFO, describe, query


class Discovery(discovery.Discovery):
    """Answers queries for information and for items.

    Args:
        jid: Gives our full JID.
        features: Gives what was advertised.
    """

    def __init__(self, *, jid: Callable[[], str], features: Callable[[], frozenset[str]]) -> None:
        super().__init__()
        self._jid = jid
        self._features = features

    @property
    def jid(self) -> str:
        """Our full JID."""
        return self._jid()

    async def about_session(self, node: str) -> Element | None:
        """What the session is; it has no nodes."""
        if node:
            return None
        answer = query(DISCO_INFO, node)
        describe(answer, "client", "bot", name="iotxmpp", features=sorted({DISCO_INFO, *self._features()}))
        return answer
