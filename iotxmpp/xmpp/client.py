"""One slixmpp client, made strict: what it may log in with, trust, send and take in."""

import logging
import socket
import ssl
from contextlib import suppress
from typing import Any

from slixmpp import ClientXMPP
from slixmpp.features.feature_mechanisms.stanza import Auth, Response
from slixmpp.stanza import Iq, StreamFeatures

from iotxmpp.account import Account
from iotxmpp.errors import CertificateError, ConfigError, ConnectError, SecurityError
from iotxmpp.xmpp.guard import StreamGuard, StreamRefusedError
from iotxmpp.xmpp.sasl import MECHANISMS

log = logging.getLogger("iotxmpp.xmpp")

_DIRECT_TLS_PORT = 5223
_STARTTLS = "{urn:ietf:params:xml:ns:xmpp-tls}starttls"
_MODULO = 2**32
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux alone has it


class _NoSecrets(logging.Filter):
    """Keeps SASL out of slixmpp's debug log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "xmpp-sasl" not in record.getMessage()


logging.getLogger("slixmpp.xmlstream.xmlstream").addFilter(_NoSecrets())


class StrictClient(ClientXMPP):
    """A client that refuses what no honest server asks for.

    Attributes:
        refusal: Why the stream was cut by us; None while all is well.
    """

    def __init__(self, account: Account, *, resource: str | None) -> None:
        jid = f"{account.jid}/{resource}" if resource else account.jid
        super().__init__(jid, account.password.get_secret_value())
        self.refusal: ConnectError | None = None
        self.ssl_context = _ssl_context(account)
        self.enable_plaintext = False
        self.enable_direct_tls, self.enable_starttls = _tls_ways(account)
        self.auto_authorize = None
        self.auto_subscribe = False
        self.plugin["feature_mechanisms"].use_mechs = set(MECHANISMS)
        for name in ("xep_0030", "xep_0115", "xep_0198", "xep_0199"):
            self.register_plugin(name)
        self.plugin["xep_0115"].caps_node = "urn:iotxmpp:caps"
        # These would follow a redirect to another host, keep every presence, and answer for us.
        for handler in ("Stream Error", "Presence", "IM", "IMError"):
            self.remove_handler(handler)
        self.add_filter("in", self._check_incoming)
        self.add_filter("out_sync", self._check_outgoing)
        self.add_event_handler("ssl_invalid_chain", self._untrusted)

    @property
    def encrypted(self) -> bool:
        """Whether the stream runs over TLS."""
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    def refuse(self, error: ConnectError) -> None:
        """Cuts the stream, for a reason that a new attempt alone cannot mend."""
        self.refusal = self.refusal or error
        log.error("%s", error)
        self.abort()

    def retire(self) -> None:
        """Ends what slixmpp would keep running; the client is of no use after this."""
        self.cancel_connection_attempt()
        self.abort()
        if self._run_out_filters is not None:
            self._run_out_filters.cancel()

    def init_parser(self) -> None:
        """Puts the guard between the socket and the parser of each new stream."""
        super().init_parser()
        if self.parser is not None:
            guard: Any = StreamGuard(self.parser)
            self.parser = guard

    def data_received(self, data: bytes | str) -> None:
        """Takes in more of the stream, as far as the guard lets it."""
        self._acknowledge_at_once()
        try:
            super().data_received(data)
        except StreamRefusedError as error:
            log.error("%s; the link is cut", error)  # noqa: TRY400  # the text says all
            self.abort()

    def _acknowledge_at_once(self) -> None:
        """Servers with Nagle's algorithm on hold a second small stanza back until the first is acknowledged.

        Linux delays that by 40 ms, and forgets this option at will.
        """
        if _QUICK_ACK is not None and self.transport is not None:
            with suppress(OSError):  # closed meanwhile
                self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _check_incoming(self, stanza: Any) -> Any:
        if isinstance(stanza, StreamFeatures) and not self.encrypted:
            if stanza.xml.find(_STARTTLS) is None:
                self.refuse(SecurityError(f"{self.boundjid.host} offers no TLS; no password was sent"))
                return None
        elif stanza.xml.tag == "{urn:xmpp:sm:3}resumed":
            self._forget_requests(stanza)
        return stanza

    def _check_outgoing(self, stanza: Any) -> Any:
        if isinstance(stanza, Auth | Response) and not self.encrypted:
            self.refuse(SecurityError(f"{self.boundjid.host} asks for a password without TLS"))
            return None
        return stanza

    def _untrusted(self, error: Exception) -> None:
        self.refusal = certificate_refused(self.boundjid.host, error)
        self.abort()

    def _forget_requests(self, resumed: Any) -> None:
        """Keeps a resumed session from sending requests whose callers were told that the link went down."""
        management = self.plugin["xep_0198"]
        waiting = management.unacked_queue
        handled = int(resumed["h"])
        for _ in range(min((handled - management.last_ack) % _MODULO, len(waiting))):
            waiting.popleft()
        management.last_ack = handled
        kept = [
            entry
            for entry in waiting
            if not (isinstance(entry[1], Iq) and entry[1]["type"] in ("get", "set"))
        ]
        waiting.clear()
        waiting.extend(kept)


def certificate_refused(host: str, error: Exception) -> ConnectError:
    """The error for a certificate that does not hold."""
    reason = getattr(error, "verify_message", "") or str(error)
    return CertificateError(
        f"the certificate of {host} is not trusted: {reason}."
        " If it is your own server, give its certificate authority as `ca` in the account file"
    )


def _ssl_context(account: Account) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(account.ca) if account.ca else None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"ca {account.ca}: no certificates can be read from it: {error}") from error


def _tls_ways(account: Account) -> tuple[bool, bool]:
    """Whether to try direct TLS, and whether STARTTLS."""
    if account.tls == "auto" and account.host is not None:
        direct = account.port == _DIRECT_TLS_PORT
        return direct, not direct
    return account.tls in ("auto", "direct"), account.tls in ("auto", "starttls")
