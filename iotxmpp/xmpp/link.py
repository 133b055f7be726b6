"""`XmppLink`: one account's session with a real server, kept up until it is closed."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self
from xml.etree.ElementTree import Element

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ConnectError,
    CredentialsError,
    HostError,
    InvalidError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    SecurityError,
    StanzaError,
)
from iotxmpp.link import (
    REQUEST_TIMEOUT,
    Cancel,
    CommandProvider,
    Item,
    ItemHandler,
    LinkLimits,
    LinkState,
    Message,
    MessageHandler,
    Presence,
    PresenceHandler,
    RequestHandler,
    StateHandler,
)
from iotxmpp.registrations import StateHandlers
from iotxmpp.xmltext import check_text
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.discovery import Discovery
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.limits import largest_payload
from iotxmpp.xmpp.messages import Messages
from iotxmpp.xmpp.negotiation import Attempt
from iotxmpp.xmpp.presence import Presences
from iotxmpp.xmpp.pubsub import PubSub
from iotxmpp.xmpp.requests import Requests
from iotxmpp.xmpp.services import Services
from iotxmpp.xmpp.stanzas import MAX_PAYLOAD_BYTES, PING, checked_payload
from iotxmpp.xmpp.tasks import Tasks

log = logging.getLogger("iotxmpp.xmpp")

STABLE = 60.0
"""Seconds that a session must last for the backoff to start again from its first delay.

After a shorter one in which a request of ours was answered it starts again from its second: what ends such a
session may be of our own making, and the server is well. So it grows only while no session works.
"""

PING_EVERY = 20.0
PING_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 2.0


class XmppLink:
    """The port over slixmpp; its promises are those of `iotxmpp.link.Link`.

    Direct TLS or STARTTLS with verification; SCRAM only; stream management with resumption (XEP-0198); a
    keepalive ping (XEP-0199); reconnects with full jitter.

    Args:
        account: Who we are, and where.
        resource: Our resource; binding it ends the session that had it. None lets the server choose.
        backoff: The delays between attempts.
    """

    def __init__(
        self, account: Account, *, resource: str | None = None, backoff: Backoff | None = None
    ) -> None:
        self._account = account
        self._resource = resource
        self._backoff = backoff or Backoff()
        self._state = LinkState(up=False, reason="not opened")
        self._state_handlers = StateHandlers(log, account.jid)
        self._client: StrictClient | None = None
        self._requests: Requests | None = None
        self._inbox = Inbox(pause=self._pause_reading, resume=self._resume_reading)
        self._discovery = Discovery()
        self._services = Services(self._discovery.answers)
        self._pubsub = PubSub(self._send, self._inbox)
        self._presences = Presences(account.jid, self._send, self._inbox)
        self._messages = Messages(self._inbox)
        self._features: set[str] = set()
        self._down = asyncio.Event()
        self._up_since = 0.0
        self._worked = False
        self._limits = LinkLimits()
        self._largest = MAX_PAYLOAD_BYTES
        self._tasks = Tasks(account.jid)

    @property
    def jid(self) -> str:
        """Our full JID while up, else the bare one."""
        if self._client is not None and self._state.up:
            return str(self._client.boundjid.full)
        return self._account.jid

    @property
    def state(self) -> LinkState:
        """Whether the link is up."""
        return self._state

    @property
    def limits(self) -> LinkLimits:
        """The server's limits in the newest session, as far as it says (XEP-0478)."""
        return self._limits

    async def __aenter__(self) -> Self:
        """Connects; raises a `ConnectError` if that fails, and can then be entered again."""
        if self._client is not None:
            raise InvalidError("this link is open already")
        self._client = client = StrictClient(self._account, resource=self._resource)
        self._requests = Requests(client)
        self._pubsub.attach(client)
        self._presences.attach(client)
        self._messages.attach(client)
        self._discovery.attach(client)
        self._services.attach(client, lambda: self._state.up)
        client.add_event_handler("disconnected", self._went_down)
        self._inbox.start()
        try:
            await self._connect()
        except BaseException:
            await self._discard()
            raise
        self._tasks.start(self._stay_up(), "supervisor")
        self._tasks.start(self._keep_alive(), "keepalive")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Says unavailable, closes the stream, and ends every task."""
        await self._tasks.cancel()
        await self._services.stop()
        was_up = self._state.up
        self._set_state(LinkState(up=False, reason="closed"))
        if self._client is not None and was_up:
            self._presences.leave()
            await self._client.flush(_CLOSE_TIMEOUT)
            await self._client.disconnect(wait=_CLOSE_TIMEOUT)
        await self._discard()

    def on_state(self, handler: StateHandler) -> Cancel:
        """Calls the handler at every change of state."""
        return self._state_handlers.register(handler)

    async def publish(
        self, node: NodeAddress, payload: Element, *, item_id: str, timeout: float = REQUEST_TIMEOUT
    ) -> None:
        """Publishes one item (XEP-0060 section 7.1)."""
        self._require_up()
        check_text(item_id, "item id")
        checked_payload(payload, f"item {item_id}", self._largest)
        await self._pubsub.publish(node, payload, item_id=item_id, timeout=timeout)

    async def items(
        self, node: NodeAddress, *, newest: int = 1, timeout: float = REQUEST_TIMEOUT
    ) -> list[Item]:
        """The newest kept items (XEP-0060 section 6.5), the oldest of them first."""
        self._require_up()
        return await self._pubsub.items(node, newest=newest, timeout=timeout)

    async def subscribe(
        self, node: NodeAddress, handler: ItemHandler, *, timeout: float = REQUEST_TIMEOUT
    ) -> Cancel:
        """Subscribes our bare JID (XEP-0060 section 6.1)."""
        self._require_up()
        return await self._pubsub.subscribe(node, handler, subscriber=self._account.jid, timeout=timeout)

    def on_unclaimed(self, handler: ItemHandler) -> Cancel:
        """Gives each notified item whose node has no handler to this one."""
        return self._pubsub.on_unclaimed(handler)

    async def nodes(self, service: str, *, timeout: float = REQUEST_TIMEOUT) -> list[NodeAddress]:
        """The nodes that our account is subscribed to (XEP-0060 section 5.6)."""
        self._require_up()
        return await self._pubsub.nodes(service, timeout=timeout)

    async def announce(self, presence: Presence) -> None:
        """Sends our presence, now and at each new session."""
        whole = Element("presence", {"text": presence.text})
        whole.extend(presence.extensions)
        checked_payload(whole, "presence")
        self._presences.remember(presence)
        if self._state.up:
            self._presences.say()

    def on_presence(self, handler: PresenceHandler) -> Cancel:
        """Gives the presence of the accounts that we follow to the handler."""
        return self._presences.on_presence(handler)

    async def send(self, to: str, message: Message) -> None:
        """Sends a message to a session or an account."""
        self._require_up()
        self._messages.send(to, message)

    def on_message(self, handler: MessageHandler) -> Cancel:
        """Gives each message that reaches this session to the handler."""
        return self._messages.on_message(handler)

    def list_commands(self, provider: CommandProvider) -> Cancel:
        """Lists commands to whoever discovers this session."""
        return self._discovery.list_commands(provider)

    async def follow(self, jid: str) -> None:
        """Asks to see the presence of a bare JID."""
        self._require_up()
        self._presences.follow(jid)

    async def unfollow(self, jid: str) -> None:
        """Ends that."""
        self._require_up()
        self._presences.unfollow(jid)

    def admit(self, allowed: Callable[[str], bool], *, withdraw: bool = False) -> None:
        """Says which bare JIDs may follow our presence; see `iotxmpp.link.Link.admit`."""
        self._presences.admit(allowed, withdraw=withdraw)

    def advertise(self, *features: str) -> None:
        """Adds features to discovery and capabilities, from the next session on."""
        self._features.update(features)

    async def call(
        self,
        to: str,
        payload: Element,
        *,
        kind: Literal["get", "set"] = "set",
        timeout: float = REQUEST_TIMEOUT,
    ) -> Element | None:
        """Sends a request (IQ) and returns the answer's payload."""
        self._require_up()
        checked_payload(payload, f"request to {to}", self._largest)
        return await self._send(to, payload, kind=kind, timeout=timeout)

    def serve(self, tag: str, handler: RequestHandler) -> Cancel:
        """Serves requests whose payload has this tag."""
        return self._services.add(tag, handler)

    async def _send(
        self, to: str, payload: Element, *, kind: Literal["get", "set"], timeout: float
    ) -> Element | None:
        if self._requests is None:
            raise LinkDownError("the link is not open")
        try:
            answer = await self._requests.call(to, payload, kind=kind, timeout=timeout)
        except StanzaError:  # an answer, too
            self._worked |= self._state.up
            raise
        self._worked |= self._state.up  # what starts a session proves nothing yet
        return answer

    def _require_up(self) -> None:
        if not self._state.up:
            raise LinkDownError(f"the link of {self._account.jid} is down: {self._state.reason}")

    def _set_state(self, state: LinkState) -> None:
        before, self._state = self._state, state
        if state.up != before.up:
            self._state_handlers.tell(state)

    async def _connect(self) -> None:
        """One attempt; at its end the link is up."""
        client = self._opened()
        self._down.clear()
        resumed = await Attempt(client, self._account).run()
        try:
            if not resumed:
                self._inbox.hold()
                self._services.hold()
                await self._begin_session(client)
        except (IotxmppError, TimeoutError) as error:
            await client.hang_up()
            raise HostError(f"the session with {client.boundjid.host} did not start: {error}") from error
        if self._down.is_set():
            raise HostError(f"the session with {client.boundjid.host} was cut at once")
        self._up_since, self._worked = time.monotonic(), False
        self._limits = client.said_limits
        self._largest = largest_payload(self._limits)
        log.info("%s: link up%s", client.boundjid.full, ", session resumed" if resumed else "")
        self._presences.say()
        self._set_state(LinkState(up=True, resumed=resumed))
        self._inbox.release()
        self._services.release()
        if not resumed and self._pubsub.subscribed:
            self._tasks.start(self._pubsub.ask_again(subscriber=self._account.jid), "resubscribe")

    async def _begin_session(self, client: StrictClient) -> None:
        disco, caps = client.plugin["xep_0030"], client.plugin["xep_0115"]
        await disco.add_identity(category="client", itype="bot", name="iotxmpp")
        for feature in self._features:
            await disco.add_feature(feature)
        await caps.update_caps(broadcast=False)
        client.capabilities = await caps.get_verstring(client.boundjid)
        await self._presences.start_session()
        await self._ping()  # answered once our presence has taken effect: items now find us

    async def _ping(self) -> None:
        ping = Element(f"{{{PING}}}ping")
        with suppress(StanzaError):  # an answer, too
            await self._send(self._opened().boundjid.host, ping, kind="get", timeout=PING_TIMEOUT)

    async def _stay_up(self) -> None:
        while True:
            await self._down.wait()
            if time.monotonic() - self._up_since >= STABLE:
                self._backoff.reset()
            elif self._worked:
                self._backoff.ease()
            long = self._opened().stream_error == "conflict"
            while not self._state.up:
                delay = self._backoff.longest_delay() if long else self._backoff.next_delay()
                log.info("%s: trying again in %.1f s", self._account.jid, delay)
                await asyncio.sleep(delay)
                try:
                    await self._connect()
                    log.warning("%s: link up again", self._account.jid)  # as loud as its loss
                except ConnectError as error:
                    log.warning("%s: %s", self._account.jid, error)
                    self._set_state(LinkState(up=False, reason=str(error)))
                    long = isinstance(error, CredentialsError | SecurityError)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            if not self._state.up or self._inbox.paused:
                continue
            client = self._opened()
            try:
                await self._ping()
            except NoAnswerError:
                log.warning("%s: the server answers no ping; the link is cut", self._account.jid)
                client.abort()
            except LinkDownError:
                continue

    def _went_down(self, reason: Any) -> None:
        client = self._client
        known = client and (client.stream_error or client.refusal)
        text = str(known or reason or "the connection was cut")
        if self._state.up:
            log.warning("%s: link down: %s", self._account.jid, text)
            self._set_state(LinkState(up=False, reason=text))
        if self._requests is not None:
            self._requests.fail_all(text)
        self._down.set()

    def _pause_reading(self) -> None:
        if self._client is not None and self._client.transport is not None:
            self._client.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._client is not None and self._client.transport is not None:
            self._client.transport.resume_reading()

    def _opened(self) -> StrictClient:
        if self._client is None:
            raise LinkDownError("the link is not open")
        return self._client

    async def _discard(self) -> None:
        """Lets go of the client, so that nothing of it runs on."""
        client, self._client = self._client, None
        await self._tasks.cancel()
        await self._inbox.stop()
        if self._requests is not None:
            self._requests.fail_all("closed")
            self._requests = None
        if client is not None:
            await client.retire()
