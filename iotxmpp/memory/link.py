"""A link to a server in memory."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Literal, Self, TypeVar
from xml.etree.ElementTree import Element

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress, bare_jid
from iotxmpp.errors import CredentialsError, LinkDownError, StanzaError
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
    Request,
    RequestHandler,
    StateHandler,
)
from iotxmpp.memory.discovery import Discovery
from iotxmpp.memory.hub import Call, Hub
from iotxmpp.memory.inbox import Inbox
from iotxmpp.memory.outgoing import checked_copy, checked_message, checked_presence, says_something
from iotxmpp.memory.pending import Pending
from iotxmpp.memory.services import Services
from iotxmpp.memory.session import Reply, Session
from iotxmpp.registrations import StateHandlers
from iotxmpp.xmltext import check_text

log = logging.getLogger("iotxmpp.memory")

T = TypeVar("T")


class MemoryLink:
    """The port, `iotxmpp.link.Link`, to a server in the same process; made by `MemoryServer.link`."""

    def __init__(self, account: Account, hub: Hub) -> None:
        self._account = account
        self._hub = hub
        self._session: Session | None = None
        self._jid = account.jid
        self._state = LinkState(up=False, reason="not connected yet")
        self._limits = LinkLimits()
        self._inbox = Inbox()
        self._state_handlers = StateHandlers(log, account.jid)
        self._discovery = Discovery(jid=lambda: self._jid, features=lambda: self.features)
        self._services = Services(hub.max_bytes, self._discovery.answers)
        self._admitted: Callable[[str], bool] | None = None
        self._withdraws = False
        self._features: set[str] = set()
        self._presence = Presence()
        self._presence_sent = False
        self._pending = Pending()
        self._tasks: set[asyncio.Task[None]] = set()
        self._return: asyncio.TimerHandle | None = None
        self._entered = False

    @property
    def jid(self) -> str:
        """Our own JID: full while up, bare before the first session."""
        return self._jid

    @property
    def state(self) -> LinkState:
        """Whether the link is up."""
        return self._state

    @property
    def limits(self) -> LinkLimits:
        """The server's limits in the newest session, as far as it says."""
        return self._limits

    @property
    def features(self) -> frozenset[str]:
        """What was advertised."""
        return frozenset(self._features)

    @property
    def entered(self) -> bool:
        """Whether the link was entered and is not closed, up or down."""
        return self._entered

    async def __aenter__(self) -> Self:
        """Connects.

        Raises:
            CredentialsError: The server refused the account's name or password.
        """
        await asyncio.sleep(0)
        self._connect()
        self._entered = True
        self._run(self._inbox.work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Says unavailable, closes the session, and ends every task of the link."""
        self._entered = False
        self._inbox.close()
        self.cut("closed", resume=False, back_after=None)
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def on_state(self, handler: StateHandler) -> Cancel:
        """Calls the handler, on the loop, at every change of `state`."""
        return self._state_handlers.register(handler)

    async def publish(
        self, node: NodeAddress, payload: Element, *, item_id: str, timeout: float = REQUEST_TIMEOUT
    ) -> None:
        """Publishes one item; see `iotxmpp.link.Link.publish`."""
        copy = checked_copy(payload, f"item {item_id!r} for {node}", self._largest)
        check_text(item_id, "item id")
        await self._ask(lambda session: self._hub.publish(session, node, item_id, copy), timeout)

    async def items(
        self, node: NodeAddress, *, newest: int = 1, timeout: float = REQUEST_TIMEOUT
    ) -> list[Item]:
        """The newest items that the service keeps, the oldest of them first."""

        def fetch(session: Session) -> list[Item]:
            self._hub.check_service(node.service)
            return self._hub.pubsub.newest(session.account, node, newest)

        return await self._ask(fetch, timeout)

    async def subscribe(
        self, node: NodeAddress, handler: ItemHandler, *, timeout: float = REQUEST_TIMEOUT
    ) -> Cancel:
        """Subscribes our bare JID and gives each notified item to the handler."""
        cancel = self._inbox.on_item(node, handler)
        try:
            await self._ask(lambda session: self._subscribe(session, node), timeout)
        except BaseException:
            cancel()
            raise
        return cancel

    def on_unclaimed(self, handler: ItemHandler) -> Cancel:
        """Gives each notified item whose node has no handler to this one."""
        return self._inbox.on_unclaimed(handler)

    async def nodes(self, service: str, *, timeout: float = REQUEST_TIMEOUT) -> list[NodeAddress]:
        """The nodes of a service that our account is subscribed to."""

        def subscribed(session: Session) -> list[NodeAddress]:
            self._hub.check_service(service)
            return self._hub.pubsub.subscribed(session.account, service)

        return await self._ask(subscribed, timeout)

    async def announce(self, presence: Presence) -> None:
        """Sends our presence; while the link is down it is only remembered."""
        self._presence = checked_presence(presence, self._hub.max_bytes)
        self._presence_sent = False
        if self._state.up:
            self._send_presence(self._up())

    def on_presence(self, handler: PresenceHandler) -> Cancel:
        """Gives each presence of the accounts that we follow to the handler."""
        return self._inbox.on_presence(handler)

    async def send(self, to: str, message: Message) -> None:
        """Sends a message to a session or an account; see `iotxmpp.link.Link.send`."""
        session = self._up()
        copy = checked_message(message, self._hub.max_bytes)
        bare_jid(check_text(to, "recipient"))
        self._hub.send(session, to, copy)

    def on_message(self, handler: MessageHandler) -> Cancel:
        """Gives each message that reaches this session to the handler."""
        return self._inbox.on_message(handler)

    def list_commands(self, provider: CommandProvider) -> Cancel:
        """Lists commands to whoever discovers this session; see `iotxmpp.link.Link.list_commands`."""
        return self._discovery.list_commands(provider)

    async def follow(self, jid: str) -> None:
        """Asks to see the presence of a bare JID."""
        self._hub.follow(self._up().account, bare_jid(jid))

    async def unfollow(self, jid: str) -> None:
        """Ends that."""
        self._hub.unfollow(self._up().account, bare_jid(jid))

    def admit(self, allowed: Callable[[str], bool], *, withdraw: bool = False) -> None:
        """Says which bare JIDs may follow our presence; see `iotxmpp.link.Link.admit`."""
        self._admitted = allowed
        self._withdraws = withdraw
        if self._session is not None and self._state.up:
            self._hub.decide(self._session.account)
            self._hub.withdraw(self._session)

    def advertise(self, *features: str) -> None:
        """Adds to the features that discovery and capabilities show; here, to `features`."""
        self._features.update(features)

    async def call(
        self,
        to: str,
        payload: Element,
        *,
        kind: Literal["get", "set"] = "set",
        timeout: float = REQUEST_TIMEOUT,
    ) -> Element | None:
        """Sends a request to a JID and returns the answer's payload; see `iotxmpp.link.Link.call`."""
        copy = checked_copy(payload, f"request to {to}", self._largest)
        check_text(to, "recipient")
        session, request = self._up(), Call(to=to, kind=kind, payload=copy)
        return await self._pending.answer(lambda settle: self._hub.route(session, request, settle), timeout)

    def serve(self, tag: str, handler: RequestHandler) -> Cancel:
        """Serves requests whose payload has this tag; see `iotxmpp.link.Link.serve`."""
        return self._services.register(tag, handler)

    # The server's verbs for tests.

    def cut(self, reason: str, *, resume: bool, back_after: float | None) -> None:
        """Goes down as if cut, and comes back after so many seconds; None stays down."""
        if self._return is not None:
            self._return.cancel()
            self._return = None
        if self._session is not None:
            if resume:
                self._session.held = True
            else:
                self._hub.end(self._session)
                self._session = None
        self._pending.fail(f"{self._account.jid}: the link went down before the answer: {reason}")
        if self._state.up:
            self._change(LinkState(up=False, reason=reason))
        if back_after is not None:
            self._return = asyncio.get_running_loop().call_later(back_after, self.come_back)

    def come_back(self) -> None:
        """Connects again after a cut, unless the link was closed meanwhile or is up."""
        if self._state.up or not self._entered:
            return
        try:
            self._connect()
        except CredentialsError as error:
            self._change(LinkState(up=False, reason=str(error)))

    # The client's end of a session.

    def take_item(self, item: Item) -> None:
        """Takes a notification."""
        self._inbox.put(item)

    def take_presence(self, presence: Presence) -> None:
        """Takes a followed account's presence."""
        self._inbox.put(presence)

    def take_message(self, message: Message) -> None:
        """Takes a message."""
        if says_something(message):
            self._inbox.put(message)

    def take_request(self, request: Request, reply: Reply) -> None:
        """Takes a request, and serves it beside the others."""
        self._run(self._serve(request, reply))

    def admits(self, follower: str) -> bool | None:
        """Decides a request to follow; None leaves it to others."""
        return None if self._admitted is None else self._allows(self._admitted, follower, otherwise=False)

    def keeps(self, follower: str) -> bool:
        """Whether one that was admitted before still follows."""
        if self._admitted is None or not self._withdraws:
            return True
        return self._allows(self._admitted, follower, otherwise=True)

    def _allows(self, rule: Callable[[str], bool], follower: str, *, otherwise: bool) -> bool:
        try:
            return rule(follower)
        except Exception:
            log.exception("the rule of %s for who may follow raised", self._account.jid)
            return otherwise

    @property
    def _largest(self) -> int:
        """Bytes of the largest payload."""
        said = self._limits.stanza_bytes
        return self._hub.max_bytes if said is None else min(said, self._hub.max_bytes)

    def _connect(self) -> None:
        resumed = self._session is not None
        if self._session is None:
            self._session = self._hub.start(
                self._account.jid, self._account.password.get_secret_value(), self
            )
            self._jid = self._session.jid
            self._presence_sent = False
            self._subscribe_again(self._session)
        else:
            self._hub.resume(self._session)
        self._limits = self._hub.limits
        if not self._presence_sent:
            self._send_presence(self._session)
        self._change(LinkState(up=True, resumed=resumed))

    def _subscribe(self, session: Session, node: NodeAddress) -> None:
        self._hub.check_service(node.service)
        self._hub.pubsub.subscribe(session.account, node)

    def _subscribe_again(self, session: Session) -> None:
        for node in self._inbox.nodes:
            try:
                self._subscribe(session, node)
            except StanzaError as error:
                log.warning("%s could not subscribe again to %s: %s", self._account.jid, node, error)

    def _send_presence(self, session: Session) -> None:
        self._presence_sent = True
        self._hub.announce(session, self._presence)

    def _up(self) -> Session:
        if self._session is None or not self._state.up:
            raise LinkDownError(f"{self._account.jid}: the link is down: {self._state.reason}")
        return self._session

    def _change(self, state: LinkState) -> None:
        self._state = state
        self._state_handlers.tell(state)

    async def _ask(self, request: Callable[[Session], T], timeout: float) -> T:
        session = self._up()
        return await self._pending.answer(
            lambda settle: self._hub.carry_out(session, lambda: request(session), settle), timeout
        )

    async def _serve(self, request: Request, reply: Reply) -> None:
        reply(await self._services.answer(request))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
