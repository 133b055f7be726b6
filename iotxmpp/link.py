"""The port: what iotxmpp needs from XMPP, and nothing else.

Two implementations ship: `iotxmpp.memory` (in one process, for tests) and `iotxmpp.xmpp` (slixmpp, for real
servers). One contract suite, `tests/contract`, holds every promise written here against each of them.

Payloads are `xml.etree.ElementTree.Element`: the wire is XML, and a payload is one element chosen by its
namespace.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self
from xml.etree.ElementTree import Element

from iotxmpp.addresses import NodeAddress

REQUEST_TIMEOUT = 10.0
"""Seconds that a request waits for its answer, unless told otherwise."""

PING = "{urn:xmpp:ping}ping"
"""The payload of a ping (XEP-0199); every link answers it by itself, as servers do at their domain."""

COMMANDS = "http://jabber.org/protocol/commands"
"""The node at which a session's commands are listed (XEP-0050 section 3.1)."""

Cancel = Callable[[], None]
"""Takes a registration back; calling it twice is harmless."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One item of a PubSub node (XEP-0060).

    Attributes:
        node: The node that it was published to. This, not the payload, says whose it is.
        id: The item's id.
        payload: Its one payload element; None where there is none.
        publisher: Who published it, as the service stamped it; None where it stamps none.
        problem: What is wrong with the item's form (no payload, several); empty for a good one.
    """

    node: NodeAddress
    id: str
    payload: Element | None
    publisher: str | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """A session's presence (RFC 6121 section 4), another's or our own.

    Attributes:
        sender: The full JID; empty for our own.
        available: Whether that session is there.
        show: Empty, `away`, `chat`, `dnd` or `xa`.
        text: A sentence for people.
        extensions: Elements of other namespaces in it.
    """

    sender: str = ""
    available: bool = True
    show: Literal["", "away", "chat", "dnd", "xa"] = ""
    text: str = ""
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkState:
    """Whether the link is up.

    Attributes:
        up: Whether requests can be sent.
        resumed: The session before a cut goes on (XEP-0198): what came meanwhile was not lost.
        reason: Why it is down; empty while up.
    """

    up: bool
    resumed: bool = False
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkLimits:
    """What the server takes in one session, as far as it says (XEP-0478).

    Attributes:
        stanza_bytes: Bytes of the largest stanza; None where it does not say: the smallest usual limit is
            64 KiB.
    """

    stanza_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request (IQ) from another session.

    Attributes:
        sender: The full JID of the caller, as stamped by its server.
        kind: `get` or `set`.
        payload: The one child element.
    """

    sender: str
    kind: Literal["get", "set"]
    payload: Element


MessageKind = Literal["chat", "normal", "headline"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message (RFC 6121 section 5), another's or our own.

    Attributes:
        sender: The JID of the session that sent it, as stamped by its server; empty for our own. It is full
            but for messages of a server itself.
        text: What it says to people (`<body/>`); may be empty where it has extensions.
        kind: `chat` is part of a conversation, `normal` stands by itself, and `headline` expects no answer
            and is kept for nobody.
        id: Its id; a link gives one to a message that has none.
        sent: Seconds since 1970 at which a server took it, where one kept it meanwhile (XEP-0203); None for
            one that came at once. Ignored in our own.
        extensions: Elements of other namespaces in it.
    """

    sender: str = ""
    text: str = ""
    kind: MessageKind = "chat"
    id: str = ""
    sent: float | None = None
    extensions: tuple[Element, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One command in a listing (XEP-0050 section 3.1).

    Attributes:
        node: Its name on the wire, the `node` of `<command/>`; no two entries have the same.
        name: Its title, for people.
    """

    node: str
    name: str


CommandProvider = Callable[[str], Sequence[Entry]]
"""The commands that the session of a full JID may see."""

ItemHandler = Callable[[Item], Awaitable[None]]
MessageHandler = Callable[[Message], Awaitable[None]]
PresenceHandler = Callable[[Presence], Awaitable[None]]
StateHandler = Callable[[LinkState], None]
RequestHandler = Callable[[Request], Awaitable[Element | None]]


class Link(Protocol):
    """One account's session with its server, kept up until it is closed.

    Entering connects, and raises a `ConnectError` if the first attempt fails. After that the link comes back
    by itself. While it is down, every request raises `LinkDownError` at once, and nothing is kept to be sent
    later. A request under way when it goes down fails at once with `LinkDownError`: it may have happened.

    Handlers of items, presences and messages run one at a time, in the order of arrival. Requests are served
    side by side. A handler that raises is logged; the link and the other handlers go on.

    Text that XML cannot carry, and a stanza over the link's size limit, raise `InvalidError` before anything
    is sent.
    """

    @property
    def jid(self) -> str:
        """Our own JID: full while up, bare before the first session."""
        ...

    @property
    def state(self) -> LinkState:
        """Whether the link is up."""
        ...

    @property
    def limits(self) -> LinkLimits:
        """The server's limits in the newest session; before the first none is known.

        A payload over them raises `InvalidError` in `publish` and `call`.
        """
        ...

    async def __aenter__(self) -> Self:
        """Connects.

        Raises:
            ConnectError: The first attempt failed; its subclass says how.
        """
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Says unavailable, closes the session, and ends every task of the link."""
        ...

    def on_state(self, handler: StateHandler) -> Cancel:
        """Calls the handler, on the loop, at every change of `state`."""
        ...

    async def publish(
        self, node: NodeAddress, payload: Element, *, item_id: str, timeout: float = REQUEST_TIMEOUT
    ) -> None:
        """Publishes one item (XEP-0060 section 7.1); returns when the service has accepted it.

        Raises:
            ForbiddenError: This account is no publisher of the node.
            NotFoundError: There is no such node; a service may answer `ForbiddenError` instead.
            InvalidError: The payload cannot travel, or is too large.
            LinkDownError: The link is down or went down.
            NoAnswerError: No answer in time.
            StanzaError: The service refused for another reason.
        """
        ...

    async def items(
        self, node: NodeAddress, *, newest: int = 1, timeout: float = REQUEST_TIMEOUT
    ) -> list[Item]:
        """The newest items that the service keeps (XEP-0060 section 6.5), the oldest of them first."""
        ...

    async def subscribe(
        self, node: NodeAddress, handler: ItemHandler, *, timeout: float = REQUEST_TIMEOUT
    ) -> Cancel:
        """Subscribes our bare JID (XEP-0060 section 6.1) and gives each notified item to the handler.

        Subscribing again is harmless. The subscription outlives the link; cancelling ends only the handler.
        After each new session it is asked for again, so that a server that lost it learns of it.
        Once a session is up, each item published from then on is notified.
        """
        ...

    def on_unclaimed(self, handler: ItemHandler) -> Cancel:
        """Gives each notified item whose node has no handler to this one.

        Such a node is one that our account is subscribed to, and that this link was not asked to `subscribe`
        to: somebody else subscribed us, or another link of our account did. Which handler an item is for is
        settled when its turn comes: what came here of a node is older than all that its own handlers get.
        """
        ...

    async def nodes(self, service: str, *, timeout: float = REQUEST_TIMEOUT) -> list[NodeAddress]:
        """The nodes of a service that our account is subscribed to (XEP-0060 section 5.6).

        A reader is subscribed from the moment that the provisioner names it, so this finds every node that
        is ours to read.
        """
        ...

    async def announce(self, presence: Presence) -> None:
        """Sends our presence, with entity capabilities (XEP-0115); sent again at each new session.

        While the link is down, or not entered yet, it is only remembered, and only the newest. Until it is
        called, a session is plainly available: servers deliver items only to sessions that are.
        """
        ...

    def on_presence(self, handler: PresenceHandler) -> Cancel:
        """Gives each presence that reaches us to the handler.

        That is of the accounts that we follow, of the other sessions of our own account (RFC 6121 section
        4.2.2), and of any that sends its presence to us directly. Servers may show us our own, too.

        When the link goes down, nothing is made up: what `state` says covers it.
        """
        ...

    async def send(self, to: str, message: Message) -> None:
        """Sends a message; returns at once. Nobody answers, not even where it can reach no one.

        Args:
            to: A full JID for one session, or a bare one for all available sessions of the account. A
                headline to our own bare JID may reach none: Prosody 0.12 drops it.
            message: What to send. One that was on its way when the link went down may come late or never.

        Raises:
            LinkDownError: The link is down; nothing was sent, and nothing is kept.
            InvalidError: The text cannot travel, it is too large, or `to` is no JID.
        """
        ...

    def on_message(self, handler: MessageHandler) -> Cancel:
        """Gives each message that reaches this session to the handler, whoever sent it.

        That is every `chat`, `normal` and `headline` to our full or bare JID that says something: text, or an
        extension. PubSub's events, errors, copies of what other sessions of ours sent or got (XEP-0280), an
        archive's (XEP-0313), and mere states of typing (XEP-0085) and receipts (XEP-0184) are no messages
        here. What a server kept while we were away comes first in a session, with `sent`.

        A handler that is registered before the link is entered misses none.
        """
        ...

    def list_commands(self, provider: CommandProvider) -> Cancel:
        """Lists commands to whoever discovers this session (XEP-0050 sections 3.1 and 3.2, XEP-0030).

        `disco#items` at the node `COMMANDS` answers the provider's entries, in its order, each at our full
        JID. `disco#info` at an entry's node answers the identity `automation`/`command-node` with its name;
        at `COMMANDS`, `automation`/`command-list`. A node that the provider does not show to whom asks is
        answered with `item-not-found`, as is one that there is not. Without a provider the list is empty.

        A provider that raises is logged, and answered with `internal-server-error`.

        Raises:
            InvalidError: There is a provider already.
        """
        ...

    async def follow(self, jid: str) -> None:
        """Asks to see the presence of a bare JID (RFC 6121 section 3.1). The server remembers."""
        ...

    async def unfollow(self, jid: str) -> None:
        """Ends that (RFC 6121 section 3.3)."""
        ...

    def admit(self, allowed: Callable[[str], bool], *, withdraw: bool = False) -> None:
        """Says which bare JIDs may follow our presence.

        Until this is called, a session decides nothing: the requests wait for another session of the
        account, or for this call. A rule that raises is logged, and admits nobody.

        Args:
            allowed: The rule.
            withdraw: Takes it from those, too, who were admitted before and are not any more (RFC 6121
                section 3.2): at this call, and at each new session before it says that it is here. Where the
                rule raises, nothing is taken.
        """
        ...

    def advertise(self, *features: str) -> None:
        """Adds to the features that discovery and capabilities show (XEP-0030, XEP-0115)."""
        ...

    async def call(
        self,
        to: str,
        payload: Element,
        *,
        kind: Literal["get", "set"] = "set",
        timeout: float = REQUEST_TIMEOUT,
    ) -> Element | None:
        """Sends a request (IQ, RFC 6120 section 8.2.3) to a JID and returns the answer's payload.

        Raises:
            UnreachableError: That session is not there, or serves no such request.
            StanzaError: The other side refused; its subclass says how.
            LinkDownError: The link is down or went down: the request may have been served.
            NoAnswerError: No answer in time: the request may have been served.
        """
        ...

    def serve(self, tag: str, handler: RequestHandler) -> Cancel:
        """Serves requests whose payload has this tag, `{namespace}name`; one handler a tag.

        The handler's element is the answer. A `StanzaError` that it raises is sent as such; anything else
        is logged and answered with `internal-server-error`, without details. A tag that nobody serves is
        answered with `service-unavailable`; `PING` the link answers by itself.

        Raises:
            InvalidError: The tag is served already.
        """
        ...
