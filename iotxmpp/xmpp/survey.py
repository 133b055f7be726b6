"""What a server offers: DNS, TLS, the stream's features and limits, services and their nodes.

For a look at a server, not for a device: `SurveyLink` is a link that remembers what was offered to it.
"""

import asyncio
import copy
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from slixmpp.xmlstream import resolver, xmlstream

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress, domain
from iotxmpp.discovery import DISCO_INFO
from iotxmpp.errors import ForbiddenError, StanzaError
from iotxmpp.xmpp.forms import DATA, FORM
from iotxmpp.xmpp.lean import let_it_ask_dns
from iotxmpp.xmpp.link import XmppLink
from iotxmpp.xmpp.provisioner import ADMIN, COMMANDS, XmppProvisioner
from iotxmpp.xmpp.stanzas import PUBSUB, PUBSUB_OWNER, ROSTER

LIMITS = "urn:xmpp:stream-limits:0"
MANAGEMENT = "urn:xmpp:sm:3"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_FEATURES = "{http://etherx.jabber.org/streams}features"
_SERVICES = ("xmpp-client", "xmpps-client")


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where DNS says that a server is (RFC 6120 section 3.2.1, XEP-0368).

    Attributes:
        direct: Whether it is for direct TLS.
        host: The host.
        port: The port.
    """

    direct: bool
    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """What the stream is like.

    Attributes:
        tls: The version of TLS, such as `TLSv1.3`; empty for none.
        cipher: Its cipher.
        expires: When the server's certificate ends, in seconds since 1970; None where that is not told.
        mechanisms: The ways to log in that were offered.
        managed: Whether acknowledgements are on (XEP-0198).
        resumable: Whether a cut session can be resumed.
        most_bytes: The largest stanza that the server takes (XEP-0478); None where it does not tell.
        idle_seconds: How long it lets us be silent (XEP-0478); None where it does not tell.
    """

    tls: str
    cipher: str
    expires: float | None
    mechanisms: tuple[str, ...]
    managed: bool
    resumable: bool
    most_bytes: int | None
    idle_seconds: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """What an entity says about itself (XEP-0030).

    Attributes:
        identities: Its identities, as `category/type`.
        names: Their names, as far as they have any.
        features: Its features.
    """

    identities: frozenset[str]
    names: tuple[str, ...]
    features: frozenset[str]


class SurveyLink(XmppLink):
    """A link that remembers what the server offered while it was made."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._offers: list[Element] = []

    async def _connect(self) -> None:
        self._offers.clear()
        self._opened().add_filter("in", self._note)
        await super()._connect()

    def _note(self, stanza: Any) -> Any:
        if stanza is not None and stanza.xml.tag == _FEATURES:
            self._offers.append(copy.deepcopy(stanza.xml))
        return stanza

    def stream(self) -> Stream:
        """What the open stream is like."""
        client = self._opened()
        transport = client.transport
        secured: Any = transport.get_extra_info("ssl_object") if transport is not None else None
        cipher = secured.cipher() if secured is not None else None
        management: Any = client.plugin["xep_0198"]
        return Stream(
            tls=(secured.version() or "") if secured is not None else "",
            cipher=cipher[0] if cipher else "",
            expires=_expiry(secured),
            mechanisms=tuple(self._texts(f"{{{SASL}}}mechanism")),
            managed=bool(management.enabled_in),
            resumable=management.sm_id is not None,
            most_bytes=self._number(f"{{{LIMITS}}}max-bytes"),
            idle_seconds=self._number(f"{{{LIMITS}}}idle-seconds"),
        )

    def _texts(self, tag: str) -> list[str]:
        return [each.text or "" for offer in self._offers for each in offer.iter(tag)]

    def _number(self, tag: str) -> int | None:
        texts = [text for text in self._texts(tag) if text.isascii() and text.isdigit()]
        return int(texts[-1]) if texts else None


async def services(account: Account) -> list[Service] | None:
    """What DNS says of where the account's server is, the first to be tried first.

    Returns:
        Empty where DNS says nothing; None where it cannot be asked, as aiodns is not installed.
    """
    let_it_ask_dns()
    # The one that slixmpp's streams ask, which is imported there.
    ask: Any = vars(xmlstream)["default_resolver"](asyncio.get_running_loop())
    if ask is None:
        return None
    name = domain(account.jid)
    found = await resolver.get_SRV(name, 0, list(_SERVICES), resolver=ask)
    return [Service(direct=service == "xmpps-client", host=host, port=port) for service, host, port in found]


async def entity(link: XmppLink, jid: str) -> Entity:
    """What an entity says about itself; raises as `Link.call` does."""
    answer = await link.call(jid, Element(f"{{{DISCO_INFO}}}query"), kind="get")
    found = answer if answer is not None else Element("nothing")
    identities = found.findall(f"{{{DISCO_INFO}}}identity")
    return Entity(
        identities=frozenset(f"{each.get('category')}/{each.get('type')}" for each in identities),
        names=tuple(name for each in identities if (name := each.get("name"))),
        features=frozenset(each.get("var", "") for each in found.findall(f"{{{DISCO_INFO}}}feature")),
    )


async def node_options(link: XmppLink, service: str) -> dict[str, tuple[str, ...]]:
    """How a service's nodes can be set up (XEP-0060 section 8.3): each field with its choices.

    Raises:
        StanzaError: It does not tell this account.
        LinkDownError: The link is down.
        NoAnswerError: No answer in time.
    """
    pubsub = Element(f"{{{PUBSUB_OWNER}}}pubsub")
    SubElement(pubsub, f"{{{PUBSUB_OWNER}}}default")
    answer = await link.call(service, pubsub, kind="get")
    form = answer.find(f".//{FORM}") if answer is not None else None
    fields = form.findall(f"{{{DATA}}}field") if form is not None else []
    return {field.get("var", ""): _choices(field) for field in fields}


def _choices(field: Element) -> tuple[str, ...]:
    return tuple(value.text or "" for value in field.findall(f"{{{DATA}}}option/{{{DATA}}}value"))


async def affiliations(link: XmppLink, service: str) -> dict[str, str]:
    """What this account is to the nodes of a service (XEP-0060 section 5.7), by the node's name."""
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    SubElement(pubsub, f"{{{PUBSUB}}}affiliations")
    answer = await link.call(service, pubsub, kind="get")
    found = answer.iter(f"{{{PUBSUB}}}affiliation") if answer is not None else iter(())
    return {each.get("node", ""): each.get("affiliation", "") for each in found}


async def may_publish(link: XmppLink, node: NodeAddress) -> bool:
    """Whether this account may publish to a node; nothing is published.

    It takes back an item that is not there (XEP-0060 section 7.2): publishers are told so, others that they
    may not. For services that do not tell affiliations.
    """
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    retract = SubElement(pubsub, f"{{{PUBSUB}}}retract", {"node": node.node})
    SubElement(retract, f"{{{PUBSUB}}}item", {"id": "iotxmpp-doctor"})
    try:
        await link.call(node.service, pubsub)
    except ForbiddenError:
        return False
    except StanzaError as error:
        return error.condition == "item-not-found"
    return True


async def may_create_nodes(link: XmppLink, service: str, name: str) -> bool:
    """Whether this account may create nodes: it tries to, and deletes the one that it made.

    Args:
        link: The account's link.
        service: The PubSub service.
        name: A node's name that nobody else uses.
    """
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    SubElement(pubsub, f"{{{PUBSUB}}}create", {"node": name})
    try:
        await link.call(service, pubsub)
    except StanzaError:
        return False
    await XmppProvisioner(link).delete_node(NodeAddress(service=service, node=name))
    return True


async def is_administrator(link: XmppLink) -> bool:
    """Whether this account may create accounts (XEP-0133)."""
    server = domain(link.jid)
    command = Element(f"{{{COMMANDS}}}command", {"node": f"{ADMIN}#add-user", "action": "execute"})
    try:
        stage = await link.call(server, command)
    except StanzaError:
        return False
    if stage is None or stage.get("status") != "executing":
        return False
    given = {"node": f"{ADMIN}#add-user", "sessionid": stage.get("sessionid", ""), "action": "cancel"}
    await link.call(server, Element(f"{{{COMMANDS}}}command", given))
    return True


async def followers(link: XmppLink) -> frozenset[str]:
    """The bare JIDs that see this account's presence (RFC 6121 section 2.1)."""
    answer = await link.call("", Element(f"{{{ROSTER}}}query"), kind="get")
    items = answer.findall(f"{{{ROSTER}}}item") if answer is not None else []
    return frozenset(each.get("jid", "") for each in items if each.get("subscription") in ("from", "both"))


def _expiry(secured: Any) -> float | None:
    certificate = secured.getpeercert() if secured is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC).timestamp()
