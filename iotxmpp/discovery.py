"""What a link answers to service discovery (XEP-0030): of its session, and of its commands (XEP-0050)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.errors import InvalidError, stanza_error
from iotxmpp.link import COMMANDS, Cancel, CommandProvider, Entry, Request

DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
_FORMS: Final = "jabber:x:data"


def _nothing(_: str) -> Sequence[Entry]:
    return ()


class Discovery(ABC):
    """Answers queries for information and for items; each kind of link says what its session is.

    Attributes:
        answers: The handlers by the tags of their requests.
    """

    def __init__(self) -> None:
        self._provider: CommandProvider = _nothing
        self.answers = {f"{{{DISCO_INFO}}}query": self._info, f"{{{DISCO_ITEMS}}}query": self._items}

    @property
    @abstractmethod
    def jid(self) -> str:
        """The session's full JID."""

    @abstractmethod
    async def about_session(self, node: str) -> Element | None:
        """What the session is (`disco#info`), for a node that stands for it; None for any other node."""

    def list_commands(self, provider: CommandProvider) -> Cancel:
        """Registers who lists the commands; see `Link.list_commands`.

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
        answer = query(DISCO_ITEMS, node)
        if node == COMMANDS:
            jid = self.jid
            for entry in self._provider(request.sender):
                attributes = {"jid": jid, "node": entry.node, "name": entry.name}
                SubElement(answer, f"{{{DISCO_ITEMS}}}item", attributes)
        elif node:
            self._entry(request.sender, node)  # a command has no items
        return answer

    async def _info(self, request: Request) -> Element:
        node = _asked(request)
        session = await self.about_session(node)
        if session is not None:
            return session
        answer = query(DISCO_INFO, node)
        if node == COMMANDS:
            describe(answer, "automation", "command-list")
        else:
            name = self._entry(request.sender, node).name
            describe(answer, "automation", "command-node", name=name, features=(COMMANDS, _FORMS))
        return answer

    def _entry(self, sender: str, node: str) -> Entry:
        for entry in self._provider(sender):
            if entry.node == node:
                return entry
        raise stanza_error("item-not-found", f"no node {node}")


def query(namespace: str, node: str) -> Element:
    """An empty answer about a node; an empty one is the session itself."""
    return Element(f"{{{namespace}}}query", {"node": node} if node else {})


def describe(
    answer: Element, category: str, kind: str, *, name: str = "", features: Sequence[str] = ()
) -> None:
    """Adds an identity (XEP-0030 section 3.1), with its name where it has one, and features."""
    attributes = {"category": category, "type": kind}
    if name:
        attributes["name"] = name
    SubElement(answer, f"{{{DISCO_INFO}}}identity", attributes)
    for feature in features:
        SubElement(answer, f"{{{DISCO_INFO}}}feature", {"var": feature})


def _asked(request: Request) -> str:
    if request.kind != "get":
        raise stanza_error("bad-request", "discovery is asked with an IQ of type get")
    return request.payload.get("node", "")
