"""What a link in memory answers to service discovery (XEP-0030): its features, and a list of commands."""

from collections.abc import Callable, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.errors import InvalidError, stanza_error
from iotxmpp.link import COMMANDS, Cancel, CommandProvider, Entry, Request

_INFO: Final = "http://jabber.org/protocol/disco#info"
_ITEMS: Final = "http://jabber.org/protocol/disco#items"
_FORMS: Final = "jabber:x:data"


def _nothing(_: str) -> Sequence[Entry]:
    return ()


class Discovery:
    """Answers queries for information and for items.

    Args:
        jid: Our full JID.
        features: What was advertised.
    """

    def __init__(self, *, jid: Callable[[], str], features: Callable[[], frozenset[str]]) -> None:
        self._jid = jid
        self._features = features
        self._provider: CommandProvider = _nothing
        self.answers = {f"{{{_INFO}}}query": self._info, f"{{{_ITEMS}}}query": self._items}

    def list_commands(self, provider: CommandProvider) -> Cancel:
        """Registers who lists the commands.

        Raises:
            InvalidError: There is one already.
        """
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
        answer = _query(_ITEMS, node)
        if node == COMMANDS:
            for entry in self._provider(request.sender):
                attributes = {"jid": self._jid(), "node": entry.node, "name": entry.name}
                SubElement(answer, f"{{{_ITEMS}}}item", attributes)
        elif node:
            self._entry(request.sender, node)  # a command has no items
        return answer

    async def _info(self, request: Request) -> Element:
        node = _asked(request)
        answer = _query(_INFO, node)
        if node == COMMANDS:
            _describe(answer, "automation", "command-list")
        elif node:
            entry = self._entry(request.sender, node)
            _describe(answer, "automation", "command-node", name=entry.name, features=(COMMANDS, _FORMS))
        else:
            features = sorted({_INFO, *self._features()})
            _describe(answer, "client", "bot", name="iotxmpp", features=features)
        return answer

    def _entry(self, sender: str, node: str) -> Entry:
        for entry in self._provider(sender):
            if entry.node == node:
                return entry
        raise stanza_error("item-not-found", f"no node {node}")


def _asked(request: Request) -> str:
    if request.kind != "get":
        raise stanza_error("bad-request", "discovery is asked with an IQ of type get")
    return request.payload.get("node", "")


def _query(namespace: str, node: str) -> Element:
    return Element(f"{{{namespace}}}query", {"node": node} if node else {})


def _describe(
    query: Element, category: str, kind: str, *, name: str = "", features: Sequence[str] = ()
) -> None:
    attributes = {"category": category, "type": kind}
    if name:
        attributes["name"] = name
    SubElement(query, f"{{{_INFO}}}identity", attributes)
    for feature in features:
        SubElement(query, f"{{{_INFO}}}feature", {"var": feature})
