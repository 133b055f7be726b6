"""What we answer to service discovery (XEP-0030): our features, and the list of our commands (XEP-0050)."""

from collections.abc import Sequence
from typing import Any, Final, cast
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.errors import InvalidError, stanza_error
from iotxmpp.link import COMMANDS, Cancel, CommandProvider, Entry, Request
from iotxmpp.xmpp.client import CAPS_NODE, StrictClient
from iotxmpp.xmpp.stanzas import DISCO_INFO, DISCO_ITEMS

_DATA: Final = "jabber:x:data"


def _nothing(_: str) -> Sequence[Entry]:
    return ()


class Discovery:
    """Answers queries for information and for items; it outlives the link's clients."""

    def __init__(self) -> None:
        self._client: StrictClient | None = None
        self._provider: CommandProvider = _nothing
        self.answers = {f"{{{DISCO_INFO}}}query": self._info, f"{{{DISCO_ITEMS}}}query": self._items}

    def attach(self, client: StrictClient) -> None:
        """Answers for a client; slixmpp would tell any sender the same, and of any node that it is there."""
        self._client = client
        for handler in ("Disco Info", "Disco Items"):
            client.remove_handler(handler)

    def list_commands(self, provider: CommandProvider) -> Cancel:
        """Registers who lists the commands; raises as `Link.list_commands` promises."""
        if self._provider is not _nothing:
            raise InvalidError("commands are listed already; cancel that provider first")

        def registered(sender: str) -> Sequence[Entry]:
            return provider(sender)

        self._provider = registered

        def cancel() -> None:
            if self._provider is registered:
                self._provider = _nothing

        return cancel

    async def _items(self, request: Request) -> Element:
        node = _asked(request)
        answer = _query(DISCO_ITEMS, node)
        if node == COMMANDS:
            jid = str(self._opened().boundjid.full)
            for entry in self._provider(request.sender):
                attributes = {"jid": jid, "node": entry.node, "name": entry.name}
                SubElement(answer, f"{{{DISCO_ITEMS}}}item", attributes)
        elif node:
            self._entry(request.sender, node)  # a command has no items
        return answer

    async def _info(self, request: Request) -> Element:
        node = _asked(request)
        if not node or node.startswith(f"{CAPS_NODE}#"):
            return await self._features(node)
        answer = _query(DISCO_INFO, node)
        if node == COMMANDS:
            _identify(answer, "command-list")
            return answer
        _identify(answer, "command-node", self._entry(request.sender, node).name)
        for feature in (COMMANDS, _DATA):
            SubElement(answer, f"{{{DISCO_INFO}}}feature", {"var": feature})
        return answer

    async def _features(self, node: str) -> Element:
        """What our presence names by its capabilities (XEP-0115)."""
        disco = self._opened().plugin["xep_0030"]
        info: Any = await disco.get_info(node=node or None, local=True)
        query = cast("Element", info.xml)
        if node:
            query.set("node", node)
        return query

    def _entry(self, sender: str, node: str) -> Entry:
        for entry in self._provider(sender):
            if entry.node == node:
                return entry
        raise stanza_error("item-not-found", f"no node {node}")

    def _opened(self) -> StrictClient:
        if self._client is None:
            raise InvalidError("discovery needs a client")
        return self._client


def _asked(request: Request) -> str:
    if request.kind != "get":
        raise stanza_error("bad-request", "discovery is asked with an IQ of type get")
    return request.payload.get("node", "")


def _query(namespace: str, node: str) -> Element:
    return Element(f"{{{namespace}}}query", {"node": node} if node else {})


def _identify(answer: Element, kind: str, name: str = "") -> None:
    identity = SubElement(answer, f"{{{DISCO_INFO}}}identity", {"category": "automation", "type": kind})
    if name:
        identity.set("name", name)
