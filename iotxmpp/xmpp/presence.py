"""Presence (RFC 6121): our own, that of the accounts we follow, and who may follow us."""

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, cast
from xml.etree.ElementTree import Element, SubElement

from slixmpp.stanza import Iq
from slixmpp.stanza import Presence as PresenceStanza
from slixmpp.xmlstream.handler import Callback

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError, IotxmppError
from iotxmpp.link import REQUEST_TIMEOUT, Cancel, Presence, PresenceHandler
from iotxmpp.registrations import register
from iotxmpp.xmpp.client import CAPS_TAG, StrictClient
from iotxmpp.xmpp.hearers import to_each
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.pubsub import Call
from iotxmpp.xmpp.requests import Matching
from iotxmpp.xmpp.stanzas import CLIENT, ROSTER

log = logging.getLogger("iotxmpp.xmpp")

_STANDARD: Final = f"{{{CLIENT}}}"
_SHOWS: Final = ("away", "chat", "dnd", "xa")
Show = Literal["", "away", "chat", "dnd", "xa"]

_MOST_UNDECIDED: Final = 1000
"""Requests that wait here for `admit`; the server tells a new session of all that nobody decided."""


class Presences:
    """Presence on one link."""

    def __init__(self, account_jid: str, call: Call, inbox: Inbox) -> None:
        self._account_jid = account_jid
        self._call = call
        self._inbox = inbox
        self._handlers: dict[object, PresenceHandler] = {}
        self._own = Presence()
        self._unsent = False
        self._followed: set[str] = set()
        self._followers: set[str] = set()
        self._allowed: Callable[[str], bool] | None = None
        self._withdraw = False
        self._undecided: dict[str, None] = {}
        self._client: StrictClient | None = None

    def attach(self, client: StrictClient) -> None:
        """Hears the presence that reaches a client."""
        self._client = client
        client.register_handler(Callback("iotxmpp presence", Matching(_is_presence), self._received))
        client.register_handler(Callback("iotxmpp roster", Matching(self._is_roster_push), self._pushed))

    def on_presence(self, handler: PresenceHandler) -> Cancel:
        """Adds a handler."""
        return register(self._handlers, handler)

    def admit(self, allowed: Callable[[str], bool], *, withdraw: bool = False) -> None:
        """Says who may follow us; decides what waited for that."""
        self._allowed = allowed
        self._withdraw = withdraw
        self._decide_waiting()
        self._withdraw_others()

    def remember(self, presence: Presence) -> None:
        """Keeps a copy of our newest presence, for each new session."""
        self._own = replace(presence, extensions=deepcopy(presence.extensions))
        self._unsent = True

    def say(self) -> None:
        """Sends our newest presence, unless this session has seen it; decides what waited for a session."""
        self._decide_waiting()
        if self._unsent:
            self.send(self._own)
            self._unsent = False

    async def start_session(self) -> None:
        """On a new session: learn whom we follow, then say that we are here."""
        answer = await self._call("", Element(f"{{{ROSTER}}}query"), kind="get", timeout=REQUEST_TIMEOUT)
        self._followed, self._followers = set(), set()
        self._undecided = {}
        self._learn(answer)
        self._withdraw_others()  # before they could see that we are here
        self._unsent = True
        self.say()

    def leave(self) -> None:
        """Says unavailable, unless our newest presence has said so in its own words."""
        if self._own.available:
            self.send(Presence(available=False))

    def send(self, presence: Presence) -> None:
        """Sends our presence."""
        stanza = self._stanza(None, None if presence.available else "unavailable")
        if presence.show:
            SubElement(stanza.xml, f"{_STANDARD}show").text = presence.show
        if presence.text:
            SubElement(stanza.xml, f"{_STANDARD}status").text = presence.text
        stanza.xml.extend(deepcopy(presence.extensions))
        stanza.send()

    def follow(self, jid: str) -> None:
        """RFC 6121 section 3.1; nothing is sent where the server already shows us that account."""
        if bare_jid(jid) not in self._followed:
            self._stanza(bare_jid(jid), "subscribe").send()

    def unfollow(self, jid: str) -> None:
        """RFC 6121 section 3.3."""
        self._followed.discard(bare_jid(jid))
        self._stanza(bare_jid(jid), "unsubscribe").send()

    def _stanza(self, to: str | None, kind: str | None) -> Any:
        if self._client is None:
            raise IotxmppError("presence needs a client")
        stanza = self._client.Presence()
        if to is not None:
            stanza["to"] = to
        if kind is not None:
            stanza["type"] = kind
        return stanza

    def _received(self, stanza: Any) -> None:
        try:
            kind = stanza.xml.get("type")
            if kind == "subscribe":
                self._decide(stanza.xml.get("from", ""))
            elif kind in (None, "unavailable") and "/" in stanza.xml.get("from", ""):
                self._inbox.put(partial(to_each, self._handlers), _presence(stanza.xml))
        except Exception:
            log.exception("a presence could not be read")

    def _decide(self, sender: str) -> None:
        bare = bare_jid(sender)
        if self._allowed is not None:
            self._answer(bare, self._allowed)
        elif len(self._undecided) < _MOST_UNDECIDED:
            self._undecided[bare] = None

    def _decide_waiting(self) -> None:
        while self._undecided and self._allowed and self._client is not None and self._client.has_session:
            self._answer(self._undecided.popitem()[0], self._allowed)

    def _answer(self, bare: str, allowed: Callable[[str], bool]) -> None:
        try:
            admitted = allowed(bare)
        except Exception:
            log.exception("the rule of %s for who may follow raised", self._account_jid)
            return
        log.info("%s asks to see our presence: %s", bare, "admitted" if admitted else "refused")
        self._stanza(bare, "subscribed" if admitted else "unsubscribed").send()

    def _withdraw_others(self) -> None:
        """Ends it for those whom the server shows our presence, and who may not see it any more."""
        if self._allowed is None or not self._withdraw:
            return
        if self._client is None or not self._client.has_session:
            return
        for follower in sorted(self._followers):
            try:
                admitted = self._allowed(bare_jid(follower))
            except InvalidError:  # a server's own address
                admitted = False
            except Exception:
                log.exception("the rule of %s for who may follow raised", self._account_jid)
                continue
            if not admitted:
                log.info("%s may not see our presence any more", follower)
                self._followers.discard(follower)
                self._stanza(follower, "unsubscribed").send()

    def _is_roster_push(self, stanza: Any) -> bool:
        return (
            isinstance(stanza, Iq)
            and stanza.xml.get("type") == "set"
            and stanza.xml.find(f"{{{ROSTER}}}query") is not None
            and stanza.xml.get("from", "") in ("", self._account_jid)
        )

    def _pushed(self, stanza: Any) -> None:
        self._learn(stanza.xml.find(f"{{{ROSTER}}}query"))

    def _learn(self, query: Element | None) -> None:
        for entry in query if query is not None else ():
            contact, subscription = entry.get("jid", ""), entry.get("subscription")
            _put(self._followers, contact, belongs=subscription in ("from", "both"))
            try:
                jid = bare_jid(contact)
            except InvalidError:
                continue  # a contact that is no account, such as a gateway's domain
            _put(self._followed, jid, belongs=subscription in ("to", "both"))


def _put(members: set[str], member: str, *, belongs: bool) -> None:
    if belongs:
        members.add(member)
    else:
        members.discard(member)


def _is_presence(stanza: Any) -> bool:
    return isinstance(stanza, PresenceStanza)


def _presence(xml: Element) -> Presence:
    show = xml.findtext(f"{_STANDARD}show", "")
    return Presence(
        sender=xml.get("from", ""),
        available=xml.get("type") is None,
        show=cast("Show", show if show in _SHOWS else ""),
        text=xml.findtext(f"{_STANDARD}status", ""),
        extensions=tuple(
            child for child in xml if not child.tag.startswith(_STANDARD) and child.tag != CAPS_TAG
        ),
    )
