"""One slixmpp client, made strict: what it may log in with, trust, send and take in."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP
from slixmpp.exceptions import XMPPError
from slixmpp.features.feature_mechanisms.stanza import Auth, Response
from slixmpp.jid import JID, InvalidJID
from slixmpp.stanza import Iq, Message, Presence

from iotxmpp.account import Account
from iotxmpp.errors import ConnectError, HostError, SecurityError
from iotxmpp.link import LinkLimits
from iotxmpp.xmpp.guard import StreamGuard, StreamRefusedError
from iotxmpp.xmpp.lean import let_it_ask_dns
from iotxmpp.xmpp.limits import limits_of
from iotxmpp.xmpp.management import ACK, ASKS_FOR_ACK, Management, SentIq
from iotxmpp.xmpp.sasl import MECHANISMS
from iotxmpp.xmpp.stanzas import IQ, MESSAGE
from iotxmpp.xmpp.trust import default_port, tls_context, tls_error, tls_ways
from iotxmpp.xmpp.turns import TurnWriter
from iotxmpp.xmpp.vetting import STREAM, TLS, objection
from iotxmpp.xmpp.wiretext import wire_text

log = logging.getLogger("iotxmpp.xmpp")
_STANZAS_LOG = logging.getLogger("slixmpp.xmlstream.xmlstream")

Taker = Callable[[Element], Callable[[], None] | None]
"""Says what to do with a stanza; None where it is for others."""

CAPS_NODE = "urn:iotxmpp:caps"
CAPS_TAG = "{http://jabber.org/protocol/caps}c"

_RESUMED = "{urn:xmpp:sm:3}resumed"
_GONE_WITHIN = 0.2
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux alone has it


class _NoSecrets(logging.Filter):
    """Keeps SASL out of slixmpp's debug log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "xmpp-sasl" not in record.getMessage()


_STANZAS_LOG.addFilter(_NoSecrets())


class StrictClient(ClientXMPP):
    """A client that refuses what no honest server asks for.

    Attributes:
        refusal: Why the stream was cut by us; None while all is well.
        stream_error: The condition with which the server ended the stream (RFC 6120 section 4.9); empty
            while all is well.
        capabilities: The hash of what this session can do (XEP-0115 section 5); empty while not known.
        said_limits: What the features of the newest stream say of the server's limits (XEP-0478).
    """

    _run_out_filters: "asyncio.Future[Any] | None" = None  # slixmpp looks for it even where __init__ failed

    def __init__(self, account: Account, *, resource: str | None) -> None:
        jid = f"{account.jid}/{resource}" if resource else account.jid
        if account.host is None:
            let_it_ask_dns()
        # Given at once: slixmpp would load the system's certificates into another one first.
        super().__init__(jid, account.password.get_secret_value(), ssl_context=tls_context(account))
        self.refusal: ConnectError | None = None
        self.stream_error = ""
        self.capabilities = ""
        self.said_limits = LinkLimits()
        self._promised_tls = False
        self._steps: set[asyncio.Future[Any]] = set()
        self._turns = TurnWriter(self._send_text)
        self._takers: dict[str, list[Taker]] = {IQ: [], MESSAGE: []}
        self.enable_plaintext = False
        self.enable_direct_tls, self.enable_starttls = tls_ways(account)
        self.default_port = default_port(account)  # where DNS names none
        self.auto_authorize = None
        self.auto_subscribe = False
        self.plugin["feature_mechanisms"].use_mechs = set(MECHANISMS)
        for name in ("xep_0030", "xep_0115", "xep_0198", "xep_0199"):
            self.register_plugin(name)
        self.plugin["xep_0115"].caps_node = CAPS_NODE
        # Its filter is asynchronous: a request would overtake our presence. `send` adds them instead.
        self.plugin["xep_0115"].broadcast = False
        # These would follow a redirect to another host, keep every presence, answer for us, and ask each
        # session that we see for its features.
        for handler in ("Stream Error", "Presence", "IM", "IMError", "Entity Capabilities"):
            self.remove_handler(handler)
        self._management = Management(self)
        self.unregister_feature("caps", 10010)
        self.add_filter("in", self._check_incoming)
        self.add_filter("out_sync", self._check_outgoing)
        self.add_event_handler("connected", self._begin)
        self.add_event_handler("ssl_invalid_chain", self._tls_failed)

    @property
    def encrypted(self) -> bool:
        """Whether the stream runs over TLS."""
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    @property
    def has_session(self) -> bool:
        """Whether a stanza that is sent now is sent."""
        return bool(self._session_started)

    def refuse(self, error: ConnectError) -> None:
        """Cuts the stream, for a reason that a new attempt alone cannot mend."""
        self.refusal = self.refusal or error
        self.abort()

    def take_iqs(self, taker: Taker) -> None:
        """Offers each IQ to a function, before all handlers; what it takes, they do not see.

        Slixmpp asks some thirty handlers about each stanza, which costs a twentieth of a round trip.
        """
        self._takers[IQ].append(taker)

    def take_messages(self, taker: Taker) -> None:
        """The same for messages."""
        self._takers[MESSAGE].append(taker)

    async def flush(self, within: float) -> None:
        """Waits until all that was sent is on the wire.

        A stanza that slixmpp's filters are at is in its queue no more; closing would overtake it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.waiting_queue.join()

    async def hang_up(self) -> None:
        """Ends the connection, or the attempt at one, and waits until nothing of it runs on."""
        attempt = self._current_connection_attempt
        self.cancel_connection_attempt()
        steps = [*self._steps, *([attempt] if attempt is not None else [])]
        if self.transport is not None:
            gone = self.disconnected
            self.abort()
            await asyncio.wait([gone], timeout=_GONE_WITHIN)
            if not gone.done():  # a TLS handshake under way keeps it from us
                self.connection_lost(None)
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)

    async def retire(self) -> None:
        """Ends all that slixmpp would keep running; the client is of no use after this."""
        await self.hang_up()
        for name in list(self.scheduled_events):
            self.cancel_schedule(name)
        if self._run_out_filters is not None:
            self._run_out_filters.cancel()
            await asyncio.gather(self._run_out_filters, return_exceptions=True)

    def send(self, data: Any, use_filters: bool = True) -> None:  # noqa: FBT001, FBT002  # slixmpp's signature
        """Sends a stanza now or never; slixmpp would keep it for the next session."""
        stanza = isinstance(data, Iq | Message | Presence)
        if stanza and use_filters and not self._session_started and not _is_before_session(data):
            log.warning("there is no session; a stanza was not sent")
            return
        if isinstance(data, Presence):
            self._add_capabilities(data)
        if stanza and use_filters and self._session_started and self._can_write():
            self._write(data)
        elif isinstance(data, SentIq):  # once more, in a resumed session
            super().send(self.Iq(xml=data.xml, recv=True), use_filters)
        else:
            super().send(data, use_filters)

    def send_iq(self, iq: Element) -> None:
        """Sends an IQ, as `send` does."""
        if self._session_started and self._can_write():
            self._write(SentIq(iq))
        else:
            self.send(self.Iq(xml=iq, recv=True))  # as if received: else it takes an id of its own

    def _add_capabilities(self, presence: Any) -> None:
        """Says what this session can do (XEP-0115), in each presence that says that it is there."""
        if self.capabilities and presence.xml.get("type") is None:
            values = {"node": CAPS_NODE, "hash": self.plugin["xep_0115"].hash, "ver": self.capabilities}
            presence.xml.append(Element(CAPS_TAG, values))

    def _can_write(self) -> bool:
        """Whether a stanza would overtake nothing."""
        return self.transport is not None and self.waiting_queue.empty()

    def _write(self, stanza: Any) -> None:
        """Writes a stanza at once; slixmpp's queue costs two turns of the loop, a tenth of a round trip."""
        text = wire_text(stanza.xml)
        then = self._management.goes(stanza, len(text))  # the one filter that stanzas need
        self._turns.put(text + then)

    def send_raw(self, data: str | bytes) -> None:
        """Writes text, behind all that was written before."""
        self._turns.flush()
        super().send_raw(data)

    def _send_text(self, text: str) -> None:
        """Writes text; what has no connection any more is lost with it."""
        if (
            self.transport is not None and not self.transport.is_closing()
        ):  # asyncio's TLS raises after its end
            self.send_raw(text)

    def disconnect(self, *args: Any, **options: Any) -> Any:
        """Closes the stream, with all that came acknowledged; what that needs ends with `hang_up`."""
        self._management.acknowledge()
        closing = super().disconnect(*args, **options)
        self._steps.add(closing)
        closing.add_done_callback(self._steps.discard)
        return closing

    async def start_tls(self) -> bool:
        """The TLS handshake; it ends with `hang_up`."""
        with self._step():
            if self.transport is None or self.transport.is_closing():
                return False
            return bool(await super().start_tls())

    def init_parser(self) -> None:
        """Puts the guard between the socket and the parser of each new stream."""
        super().init_parser()
        if self.parser is not None:
            guard: Any = StreamGuard(self.parser)
            self.parser = guard

    def data_received(self, data: bytes | str) -> None:
        """Takes in more of the stream, as far as the guard lets it."""
        try:
            super().data_received(data)
        except StreamRefusedError as error:
            self.refuse(HostError(f"{self.boundjid.host} sent what no XMPP server may send: {error}"))
        if _QUICK_ACK is not None:  # after those who waited for this: an answer of ours acknowledges, too
            asyncio.get_running_loop().call_soon(self._acknowledge_at_once)

    def _spawn_event(self, xml: Element) -> None:
        """Takes what comes most often without slixmpp's stanzas, filters and handlers.

        Those cost a tenth of a round trip. All else goes their way.
        """
        if not (self._session_started and self.authenticated) or self.refusal or self._promised_tls:
            super()._spawn_event(xml)
        elif xml.tag == ASKS_FOR_ACK:
            self._management.asked()
        elif (xml.tag != ACK or not self._management.acked(xml)) and not self._is_taken(xml):
            super()._spawn_event(xml)

    def _is_taken(self, stanza: Element) -> bool:
        """Whether a taker took a stanza, and had it counted."""
        if stanza.tag not in self._takers:
            return False
        try:
            _check_sender(stanza.get("from"))
        except InvalidJID:
            return False
        try:
            deed = self._deed(stanza)
            if deed is None:
                return False
            self._management.came()
            deed()
        except Exception:
            log.exception("a stanza of the server could not be handled")
        return True

    def recv_stanza(self, stanza: Any) -> None:
        """Handles one stanza; the stream outlives what goes wrong with it."""
        try:
            super().recv_stanza(stanza)
        except Exception:
            log.exception("a stanza of the server could not be handled")

    def _acknowledge_at_once(self) -> None:
        """Servers with Nagle's algorithm on hold a second small stanza back until the first is acknowledged.

        Linux delays that by 40 ms, and forgets this option at will.
        """
        if self.transport is None or self.transport.is_closing():
            return  # asyncio's TLS transport raises when it is asked after its end
        connection: Any = self.transport.get_extra_info("socket")
        if connection is not None and _QUICK_ACK is not None:
            with suppress(OSError):  # closed meanwhile
                connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    async def _handle_stream_features(self, features: Any) -> bool | None:
        self.said_limits = limits_of(features.xml)  # those before the login are the stricter ones
        with self._step():
            try:
                return await super()._handle_stream_features(features)
            except (XMPPError, InvalidJID) as error:
                self.refuse(HostError(f"{self.boundjid.host} gives us no session: {error}"))
                return None

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Notes the task that negotiates, for `hang_up`."""
        task = asyncio.current_task()
        if task is not None:
            self._steps.add(task)
            task.add_done_callback(self._steps.discard)
        yield

    def _begin(self, _: Any) -> None:
        """Forgets the login of the connection before this one."""
        self.stream_error = ""
        self._promised_tls = False
        self.plugin["feature_mechanisms"].mech = None
        self.plugin["feature_mechanisms"].attempted_mechs = set()

    def _check_incoming(self, stanza: Any) -> Any:
        if self.refusal is not None:
            return None
        problem = self._objection(stanza.xml)
        if problem:
            self.refuse(SecurityError(f"{self.boundjid.host} {problem}"))
            return None
        if stanza.xml.tag == f"{STREAM}error":
            self._stream_failed(stanza["condition"])
        elif stanza.xml.tag == _RESUMED:
            return self._resumed(stanza)
        if not _has_readable_sender(stanza.xml):
            return None
        deed = self._deed(stanza.xml) if stanza.xml.tag in self._takers else None
        if deed is None:
            return stanza
        deed()
        return None

    def _deed(self, stanza: Element) -> Callable[[], None] | None:
        """What a taker does with a stanza; None where nobody takes it."""
        for taker in self._takers[stanza.tag]:
            deed = taker(stanza)
            if deed is not None:
                if _STANZAS_LOG.isEnabledFor(logging.DEBUG):
                    _STANZAS_LOG.debug("RECV: %s", wire_text(stanza))
                return deed
        return None

    def _objection(self, element: Any) -> str:
        if self._promised_tls and not self.encrypted:
            return "goes on without TLS after it agreed to it"
        self._promised_tls = element.tag == f"{TLS}proceed"
        if self.authenticated:
            return ""
        return objection(element, encrypted=self.encrypted, mechanism=self.plugin["feature_mechanisms"].mech)

    def _stream_failed(self, condition: str) -> None:
        """RFC 6120 section 4.9.1.1: such an error ends the stream."""
        self.stream_error = condition
        log.warning("%s ends the stream: %s", self.boundjid.host, condition)
        self.abort()

    def _check_outgoing(self, stanza: Any) -> Any:
        if isinstance(stanza, Auth | Response) and not self.encrypted:
            self.refuse(SecurityError(f"{self.boundjid.host} asks for a password without TLS"))
            return None
        return stanza

    def _tls_failed(self, error: Exception) -> None:
        self.refuse(tls_error(self.boundjid.host, error))

    def _resumed(self, stanza: Any) -> Any:
        try:
            handled = int(stanza.xml.get("h", ""))
        except ValueError:
            handled = -1
        if handled < 0 or self.plugin["xep_0198"].sm_id is None:
            self.refuse(HostError(f"{self.boundjid.host} resumes a session that it cannot have"))
            return None
        self._management.forget_requests(handled)
        return stanza


def _is_before_session(data: Any) -> bool:
    """Whether it is a part of the login."""
    return isinstance(data, Iq) and any(data.get_plugin(name, check=True) for name in ("bind", "session"))


def _has_readable_sender(xml: Element) -> bool:
    """Slixmpp reads the sender where a failure would go unseen."""
    try:
        _check_sender(xml.get("from"))
    except InvalidJID as error:
        log.warning("dropped a stanza of %r: %s", xml.get("from"), error)
        return False
    return True


@lru_cache(maxsize=256)  # the same few all the time; what raises is not kept, however long it is
def _check_sender(sender: str | None) -> None:
    JID(sender)
