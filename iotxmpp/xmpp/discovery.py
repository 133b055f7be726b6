"""What we answer to service discovery (XEP-0030) of our session: what slixmpp knows of its features."""

from typing import Any, cast
from xml.etree.ElementTree import Element

from iotxmpp import discovery
from iotxmpp.errors import InvalidError
from iotxmpp.xmpp.client import CAPS_NODE, StrictClient


class Discovery(discovery.Discovery):
    """Answers queries for information and for items; it outlives the link's clients."""

    def __init__(self) -> None:
        super().__init__()
        self._client: StrictClient | None = None

    def attach(self, client: StrictClient) -> None:
        """Answers for a client; slixmpp would tell any sender the same, and of any node that it is there."""
        self._client = client
        for handler in ("Disco Info", "Disco Items"):
            client.remove_handler(handler)

    @property
    def jid(self) -> str:
        """Our full JID."""
        return str(self._opened().boundjid.full)

    async def about_session(self, node: str) -> Element | None:
        """What the session is, also at the node that our presence names by its capabilities (XEP-0115)."""
        if node and not node.startswith(f"{CAPS_NODE}#"):
            return None
        disco = self._opened().plugin["xep_0030"]
        info: Any = await disco.get_info(node=node or None, local=True)
        query = cast("Element", info.xml)
        if node:
            query.set("node", node)
        return query

    def _opened(self) -> StrictClient:
        if self._client is None:
            raise InvalidError("discovery needs a client")
        return self._client
