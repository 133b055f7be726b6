"""The heart of a server in memory: what its links speak to."""

import asyncio
import secrets
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal, TypeVar
from xml.etree.ElementTree import Element

from iotxmpp.addresses import NodeAddress, bare_jid, domain
from iotxmpp.errors import CredentialsError, StanzaError, stanza_error
from iotxmpp.link import PING, Item, LinkLimits, Message, Presence, Request
from iotxmpp.memory.pubsub import PubSub, copy_item
from iotxmpp.memory.rosters import Rosters
from iotxmpp.memory.session import End, Outcome, Reply, Session

T = TypeVar("T")

_MOST_KEPT = 100
"""Messages that wait for one account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request to another session, as its caller's end gives it."""

    to: str
    kind: Literal["get", "set"]
    payload: Element


class Hub:
    """Accounts, sessions, and what travels between them.

    Attributes:
        delay: Seconds that every answer takes.
        silenced: The accounts that get and give no answers.
        keeps_messages: Whether messages to an account without a session wait for its next one (XEP-0160).
        limits: What sessions that start from now on are told of the server's limits.
    """

    def __init__(self, *, service: str, max_bytes: int) -> None:
        self.service = service
        self.max_bytes = max_bytes
        self.passwords: dict[str, str] = {}
        self.pubsub = PubSub()
        self.rosters = Rosters()
        self.delay = 0.0
        self.silenced: set[str] = set()
        self.keeps_messages = True
        self.limits = LinkLimits()
        self._kept: dict[str, list[Message]] = {}
        self._sessions: dict[str, Session] = {}

    def start(self, account: str, password: str, end: End) -> Session:
        """Starts a session under a new full JID.

        Raises:
            CredentialsError: There is no such account, or this is not its password.
        """
        if self.passwords.get(account) != password:
            raise CredentialsError(f"the server refused the name or the password of {account}")
        session = Session(f"{account}/{secrets.token_hex(6)}", end)
        self._sessions[session.jid] = session
        return session

    def end(self, session: Session) -> None:
        """Ends a session; its followers see it leave."""
        if self._sessions.pop(session.jid, None) is None:
            return
        session.finish()
        if session.available:
            session.presence = None
            self._tell_watchers(session, Presence(sender=session.jid, available=False))

    def resume(self, session: Session) -> None:
        """Goes on with a held session."""
        session.resume()
        self.decide(session.account)

    def carry_out(
        self, asker: Session, request: Callable[[], T], settle: Callable[[T | StanzaError], None]
    ) -> None:
        """Carries out a session's request at once, and brings the answer back."""
        outcome: T | StanzaError
        try:
            outcome = request()
        except StanzaError as error:
            outcome = error
        self._answer(asker, lambda: settle(outcome))

    def check_service(self, service: str) -> None:
        """Raises `UnreachableError` for a PubSub service that is not here."""
        if service != self.service and service not in self.passwords:
            raise stanza_error("remote-server-not-found", f"no PubSub service {service}")

    def publish(self, session: Session, node: NodeAddress, item_id: str, payload: Element) -> None:
        """Publishes an item and notifies every session of each subscriber."""
        self.check_service(node.service)
        notified = self.pubsub.publish(session.account, node, item_id, payload)
        item = Item(node=node, id=item_id, payload=payload, publisher=session.account)
        for account in notified:
            for subscriber in self._available(account):
                self._notify(subscriber, copy_item(item))

    @staticmethod
    def _notify(session: Session, item: Item) -> None:
        session.deliver(lambda end: end.take_item(item))

    def route(self, caller: Session, call: Call, reply: Reply) -> None:
        """Brings a request to a session, and its answer back."""
        if call.payload.tag == PING and call.to == domain(caller.account):
            self._answer(caller, lambda: reply(None))
            return
        callee = self._sessions.get(call.to)
        if callee is None:
            absent = stanza_error("service-unavailable", f"no session {call.to}")
            self._answer(caller, lambda: reply(absent))
            return
        request = Request(sender=caller.jid, kind=call.kind, payload=call.payload)

        def answered(outcome: Outcome) -> None:
            callee.pass_on(lambda: self._answer(caller, lambda: reply(outcome), callee.account))

        callee.deliver(lambda end: end.take_request(request, answered))

    def send(self, sender: Session, to: str, message: Message) -> None:
        """Brings a message to a session, or to every available one of an account (RFC 6121 section 8.5)."""
        message = replace(message, sender=sender.jid, id=message.id or secrets.token_hex(8))
        account = bare_jid(to)
        named = self._sessions.get(to)
        if named is not None:
            recipients = [named]
        elif "/" in to and message.kind == "headline":
            recipients = []  # it was for that session alone
        else:
            recipients = self._available(account)
        for session in recipients:
            self._give_message(session, message)
        if not recipients and message.kind != "headline":
            self._keep(account, message)

    def _keep(self, account: str, message: Message) -> None:
        kept = self._kept.get(account, [])
        if self.keeps_messages and account in self.passwords and len(kept) < _MOST_KEPT:
            self._kept[account] = [*kept, replace(message, sent=time.time())]

    @staticmethod
    def _give_message(session: Session, message: Message) -> None:
        sent = time.time() if session.held and message.sent is None else message.sent
        own = replace(message, sent=sent, extensions=deepcopy(message.extensions))
        session.deliver(lambda end: end.take_message(own))

    def announce(self, session: Session, presence: Presence) -> None:
        """Makes a session's presence known; its first one also brings it what it missed."""
        was_available = session.available
        if session.presence is None:
            self.withdraw(session)
        session.presence = replace(presence, sender=session.jid)
        if presence.available or was_available:
            self._tell_watchers(session, session.presence)
        if session.available and not was_available:
            self.decide(session.account)
            for message in self._kept.pop(session.account, ()):
                self._give_message(session, message)
            for followed in (session.account, *self.rosters.followed_by(session.account)):
                for other in self._available(followed):
                    if other is not session:
                        self._show(other, session)

    def follow(self, follower: str, followed: str) -> None:
        """Asks to follow; decided at once, or when the followed account comes online."""
        if followed not in self.passwords:
            return
        if self.rosters.follows(follower, followed):
            self._show_all(followed, follower)
            return
        self.rosters.ask(follower, followed)
        self.decide(followed)

    def decide(self, followed: str) -> None:
        """Has an account's sessions decide who may follow it; what none of them decides waits."""
        for follower in self.rosters.asking(followed):
            votes = {session.admits(follower) for session in self._available(followed)} - {None}
            if votes:
                self.rosters.decide(follower, followed, admitted=True in votes)
            if True in votes:
                self._show_all(followed, follower)

    def withdraw(self, session: Session) -> None:
        """Ends the following of those whom the session does not admit any more (RFC 6121 section 3.2)."""
        for follower in self.rosters.followers(session.account):
            if not session.keeps(follower):
                self.unfollow(follower, session.account)

    def unfollow(self, follower: str, followed: str) -> None:
        """Ends a following; what was seen of the followed becomes unavailable (RFC 6121 section 3.3.3)."""
        if self.rosters.follows(follower, followed):
            for other in self._available(followed):
                self._tell(follower, Presence(sender=other.jid, available=False))
        self.rosters.end(follower, followed)

    def forget_account(self, account: str) -> None:
        """Forgets an account and everything of it; its sessions must have ended."""
        self.passwords.pop(account, None)
        self._kept.pop(account, None)
        self.pubsub.forget_account(account)
        self.rosters.forget_account(account)

    def _answer(self, asker: Session, settle: Callable[[], None], answerer: str = "") -> None:
        if not self.silenced.isdisjoint((asker.account, answerer)):
            return
        loop = asyncio.get_running_loop()
        if self.delay:
            loop.call_later(self.delay, settle)
        else:
            loop.call_soon(settle)

    def _available(self, account: str) -> list[Session]:
        return [it for it in self._sessions.values() if it.account == account and it.available]

    def _show_all(self, followed: str, follower: str) -> None:
        for other in self._available(followed):
            for session in self._available(follower):
                self._show(other, session)

    def _show(self, other: Session, session: Session) -> None:
        if other.presence is not None:
            self._give_presence(session, other.presence)

    def _tell_watchers(self, session: Session, presence: Presence) -> None:
        """Tells a session's followers, and the other sessions of its account (RFC 6121 section 4.2.2)."""
        for watcher in (session.account, *self.rosters.followers(session.account)):
            for each in self._available(watcher):
                if each is not session:
                    self._give_presence(each, presence)

    def _tell(self, account: str, presence: Presence) -> None:
        for session in self._available(account):
            self._give_presence(session, presence)

    @staticmethod
    def _give_presence(session: Session, presence: Presence) -> None:
        own = replace(presence, extensions=deepcopy(presence.extensions))
        session.deliver(lambda end: end.take_presence(own))
