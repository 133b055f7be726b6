"""One attempt to get a session: connect, TLS, SCRAM, bind or resume, with an error for each way it fails."""

import asyncio
import socket
import ssl
from typing import Any

from iotxmpp.account import Account
from iotxmpp.addresses import domain
from iotxmpp.errors import ConnectError, CredentialsError, HostError, SecurityError
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.trust import default_port, tls_error

ATTEMPT_TIMEOUT = 30.0
"""Seconds for one whole attempt."""

_HOST_UNKNOWN = "host-unknown"
"""RFC 6120 section 4.9.3.6."""

_NO_TLS = "WRONG_VERSION_NUMBER"
"""What OpenSSL says where the other side speaks no TLS."""

_NAME_UNKNOWN = "UNRECOGNIZED_NAME"
"""How OpenSSL tells the alert of RFC 6066 section 3."""

_DISTURBED = ("DECODE_ERROR", "UNEXPECTED_EOF_WHILE_READING", "BAD_RECORD_MAC")
"""What it says where a network cuts a handshake short; the next attempt may do."""


class Attempt:
    """Listens to one attempt of a client."""

    def __init__(self, client: StrictClient, account: Account) -> None:
        self._client = client
        self._account = account
        self._done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._refused_login = ""
        self._unreachable: list[Exception | str] = []
        self._handlers = {
            "stream_negotiated": self._negotiated,
            "session_resumed": lambda _: self._finish(resumed=True),
            "failed_auth": self._login_refused,
            "failed_all_auth": self._no_login,
            "connection_failed": self._unreachable.append,
            "reconnect_delay": lambda _: self._fail(self._host_error()),
            "disconnected": self._cut,
        }

    async def run(self) -> bool:
        """Makes the attempt; returns whether the session before it goes on (XEP-0198).

        Raises:
            ConnectError: It failed; its subclass says how.
        """
        self._client.refusal = None
        for event, handler in self._handlers.items():
            self._client.add_event_handler(event, handler)
        try:
            self._client.connect(self._account.host, self._port() if self._account.host else None)
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                return await self._done
        except TimeoutError:
            raise HostError(f"{self._where()} did not finish the login in {ATTEMPT_TIMEOUT:.0f} s") from None
        finally:
            for event, handler in self._handlers.items():
                self._client.del_event_handler(event, handler)
            if not self._succeeded():
                await self._client.hang_up()

    def _succeeded(self) -> bool:
        return self._done.done() and not self._done.cancelled() and self._done.exception() is None

    def _finish(self, *, resumed: bool) -> None:
        if not self._done.done():
            self._done.set_result(resumed)

    def _fail(self, error: ConnectError) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _negotiated(self, _: Any) -> None:
        bound = self._client.boundjid
        if not self._client.authenticated:
            self._fail(SecurityError(f"{self._where()} offers no way to log in securely"))
        elif not self._client.sessionstarted:
            self._fail(HostError(f"{self._where()} gives us no session"))
        elif bound.bare.lower() != self._account.jid or not bound.resource:
            self._fail(HostError(f"{self._where()} gives us the session of {bound.full or 'nobody'}"))
        else:
            self._finish(resumed=False)

    def _login_refused(self, failure: Any) -> None:
        self._refused_login = failure["condition"]

    def _no_login(self, _: Any) -> None:
        if self._refused_login == "temporary-auth-failure":
            self._fail(HostError(f"{self._where()} cannot check a login now ({self._refused_login})"))
        elif self._refused_login:
            self._fail(
                CredentialsError(
                    f"{self._where()} refused the login of {self._account.jid} ({self._refused_login}):"
                    " wrong password, or no such account; check jid and password in the account file"
                )
            )
        else:
            self._fail(SecurityError(f"{self._where()} offers no SCRAM login; no password was sent"))

    def _cut(self, reason: Any) -> None:
        if self._client.refusal is not None:
            self._fail(self._client.refusal)
        elif isinstance(reason, ssl.SSLError):
            self._fail(self._tls_error(reason))
        elif self._client.stream_error == _HOST_UNKNOWN:
            self._fail(self._domain_error(_HOST_UNKNOWN))
        else:
            why = self._client.stream_error or (_told(reason) if reason else "no reason given")
            self._fail(HostError(f"{self._where()} ended the connection: {why}"))

    def _host_error(self) -> ConnectError:
        for error in self._unreachable:
            if isinstance(error, ssl.SSLCertVerificationError):
                return self._tls_error(error)
        error = self._unreachable[-1] if self._unreachable else "no address"
        if isinstance(error, str | socket.gaierror):
            return HostError(
                f"unknown host {self._where()}: check the name, or give host and port in the account file"
            )
        if isinstance(error, ssl.SSLError):
            return self._tls_error(error)
        return HostError(
            f"cannot reach {self._where()}: {_told(error)}: is the server running there? Check host and port"
        )

    def _tls_error(self, error: ssl.SSLError) -> ConnectError:
        if error.reason == _NO_TLS:
            return SecurityError(
                f"{self._where()} does not begin with TLS ({error.reason}): if it is a STARTTLS port, write"
                ' tls = "starttls" in the account file'
            )
        if (error.reason or "").endswith(_NAME_UNKNOWN):
            return self._domain_error(error.reason)
        if (error.reason or "").endswith(_DISTURBED):
            return HostError(f"{self._where()}: TLS was disturbed while it was agreed on: {error.reason}")
        return tls_error(self._where(), error)

    def _domain_error(self, reason: str) -> HostError:
        """What to do where the server does not know our domain."""
        jid = self._account.jid
        return HostError(
            f"{self._where()} does not serve the domain {domain(jid)} ({reason}): check the domain of"
            f" the JID {jid}, and the host"
        )

    def _where(self) -> str:
        if self._account.host is None:
            return str(self._client.boundjid.host)
        return f"{self._account.host}:{self._port()}"

    def _port(self) -> int:
        return self._account.port or default_port(self._account)


def _told(reason: object) -> str:
    """A reason, or an error, as a text; one that says nothing by the name of its kind."""
    return str(reason) or type(reason).__name__
