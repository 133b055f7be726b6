"""A server on loopback that does what a test's script says, and keeps every byte that it was sent."""

import asyncio
import hashlib
import hmac
import re
import secrets
import ssl
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import SecretStr

from iotxmpp.account import Account

PASSWORD = "open-sesame-2718"
DOMAIN = "localhost"
HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' from='localhost' id='1' version='1.0'"
    " xmlns:stream='http://etherx.jabber.org/streams'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
STREAM_MANAGEMENT = "<sm xmlns='urn:xmpp:sm:3'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

_PATIENCE = 5.0
_CHUNK = 65_536


def mechanisms(*names: str) -> str:
    """The feature that offers ways to log in."""
    each = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    return f"<mechanisms xmlns='{SASL}'>{each}</mechanisms>"


def features(*inside: str) -> str:
    """What the server offers."""
    return f"<stream:features>{''.join(inside)}</stream:features>"


@dataclass(kw_only=True)
class Scram:
    """The server's side of SCRAM-SHA-256 (RFC 7677), as honest as a test wants it.

    Attributes:
        iterations: The count that it asks for; it works with 4096 itself.
        signature: What it says as its signature; None says the right one.
        nonce: The whole nonce that it answers with; None adds to the client's.
    """

    iterations: str = "4096"
    signature: str | None = None
    nonce: str | None = None
    salt: bytes = b"a salt of 16 byt"

    def first(self, client_first: bytes) -> bytes:
        """The answer to the client's first message."""
        self._bare = client_first.split(b",", 2)[2]
        client_nonce = self._bare.partition(b",r=")[2].decode()
        nonce = self.nonce if self.nonce is not None else client_nonce + secrets.token_hex(8)
        salt = b64encode(self.salt).decode()
        self._first = f"r={nonce},s={salt},i={self.iterations}".encode()
        return self._first

    def last(self, client_last: bytes) -> bytes:
        """The answer to the client's last message; raises if the proof is wrong."""
        without_proof, _, proof = client_last.rpartition(b",p=")
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), self.salt, 4096)
        signed = b",".join((self._bare, self._first, without_proof))
        key = _hmac(salted, b"Client Key")
        expected = bytes(a ^ b for a, b in zip(key, _hmac(hashlib.sha256(key).digest(), signed), strict=True))
        if b64decode(proof) != expected:
            raise AssertionError("the client's proof is wrong")
        signature = self.signature or b64encode(_hmac(_hmac(salted, b"Server Key"), signed)).decode()
        return f"v={signature}".encode()


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


class Peer:
    """One connection of a client, for a script."""

    def __init__(
        self, server: "FakeServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._unread = b""

    async def until(self, wanted: str) -> str:
        """What the client sends, up to what matches this pattern; it ends there."""
        pattern = re.compile(wanted, re.DOTALL)
        async with asyncio.timeout(_PATIENCE):
            while not (match := pattern.search(self._unread.decode())):
                self._unread += await self._read()
        text = self._unread.decode()
        self._unread = text[match.end() :].encode()
        return text[: match.end()]

    async def send(self, text: str | bytes) -> None:
        """Sends it as it is."""
        self._writer.write(text.encode() if isinstance(text, str) else text)
        await self._writer.drain()

    async def offer(self, *inside: str) -> None:
        """Opens the stream and offers features."""
        await self.until("<stream:stream[^>]*>")
        await self.send(HEADER + features(*inside))

    async def start_tls(self) -> None:
        """Offers STARTTLS, and does it."""
        await self.offer(STARTTLS)
        await self.until("<starttls[^>]*>")
        await self.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.secure()

    async def secure(self) -> None:
        """The TLS handshake."""
        self._server.received_over_tls = bytearray()
        await self._writer.start_tls(self._server.context)

    async def sasl(self, tag: str) -> bytes:
        """The content of the client's next SASL element."""
        text = await self.until(f"<{tag}[^>]*>[^<]*</{tag}>")
        return b64decode(text.rpartition(f"</{tag}")[0].rpartition(">")[2])

    async def say(self, tag: str, content: bytes) -> None:
        """A SASL element."""
        await self.send(f"<{tag} xmlns='{SASL}'>{b64encode(content).decode()}</{tag}>")

    async def log_in(self, scram: Scram | None = None) -> None:
        """STARTTLS and SCRAM, to the end."""
        scram = scram or Scram()
        await self.start_tls()
        await self.offer(mechanisms("SCRAM-SHA-256"))
        await self.say("challenge", scram.first(await self.sasl("auth")))
        await self.say("success", scram.last(await self.sasl("response")))

    async def bind(self, *more: str, early: str = "") -> None:
        """Binds a resource, and answers the query for the roster, and the ping that follows the presence.

        Args:
            more: Further features to offer.
            early: What to send before that ping is answered.
        """
        await self.offer(BIND, *more)
        await self.answer("<bind[^>]*>", f"{BIND[:-2]}><jid>device@{DOMAIN}/fake</jid></bind>")
        if STREAM_MANAGEMENT in more:
            await self.until("<enable[^>]*>")
            await self.send("<enabled xmlns='urn:xmpp:sm:3' id='1' resume='true'/>")
        await self.answer("<query xmlns=.jabber:iq:roster.[^>]*>", "<query xmlns='jabber:iq:roster'/>")
        await self.until("<presence")
        await self.send(early)
        await self.answer("<ping[^>]*>", "")

    async def answer(self, wanted: str, payload: str, *, kind: str = "result") -> None:
        """Answers the next request that holds this."""
        request = await self.until(f"<iq[^>]*>{wanted}")
        opening = request[request.rindex("<iq") :]
        number, to = (re.search(rf"^<iq[^>]*\s{name}=[\"']([^\"']*)", opening) for name in ("id", "to"))
        sender = f" from='{to[1]}'" if to else ""
        await self.send(f"<iq type='{kind}' id='{number[1] if number else ''}'{sender}>{payload}</iq>")

    def close(self) -> None:
        """Ends the connection."""
        self._writer.close()

    async def until_gone(self) -> None:
        """Reads until the client has closed the stream or the connection."""
        end = self._unread
        with suppress(OSError):
            while b"</stream:stream>" not in end and (data := await self._reader.read(_CHUNK)):
                self._server.keep(data)
                end = end[-_CHUNK:] + data

    async def _read(self) -> bytes:
        data = await self._reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("the client is gone")
        self._server.keep(data)
        return data


Script = Callable[[Peer], Awaitable[None]]


async def silence(_: Peer) -> None:
    """A server that accepts and says nothing."""


class FakeServer:
    """Plays a script for each connection.

    Args:
        script: What it does; when it returns, the connection stays open until the client closes it.
        context: For TLS.
        direct: Whether TLS comes first (XEP-0368).

    Attributes:
        received: Every byte that clients sent it, what was in TLS decrypted.
        connections: How many there were.
        errors: What scripts raised, other than that the client was gone.
    """

    def __init__(
        self, script: Script, *, context: ssl.SSLContext | None = None, direct: bool = False
    ) -> None:
        self.script = script
        self.received = bytearray()
        self.received_over_tls: bytearray | None = None
        self.connections = 0
        self.errors: list[Exception] = []
        self._context = context
        self._direct = direct
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def context(self) -> ssl.SSLContext:
        """For TLS."""
        if self._context is None:
            raise RuntimeError("this server has no certificate")
        return self._context

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        if self._server is None:
            raise RuntimeError("the server is not open")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def in_clear(self) -> bytes:
        """Every byte that was sent without TLS."""
        return bytes(self.received[: len(self.received) - len(self.received_over_tls or b"")])

    def account(
        self, *, ca: Path | None = None, tls: Literal["auto", "direct", "starttls"] | None = None
    ) -> Account:
        """An account on this server."""
        return Account(
            jid=f"device@{DOMAIN}",
            password=SecretStr(PASSWORD),
            host="127.0.0.1",
            port=self.port,
            tls=tls or ("direct" if self._direct else "starttls"),
            ca=ca,
        )

    def keep(self, data: bytes) -> None:
        """Keeps what a client sent."""
        self.received += data
        if self.received_over_tls is not None:
            self.received_over_tls += data

    async def __aenter__(self) -> Self:
        context = self._context if self._direct else None
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.errors and error is None:
            raise self.errors[0]

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.received_over_tls = bytearray() if self._direct else None
        peer = Peer(self, reader, writer)
        try:
            await self.script(peer)
            await peer.until_gone()
        except (asyncio.CancelledError, OSError):
            pass  # the test ended, or the client left, as it should with such a server
        except Exception as error:  # noqa: BLE001  # raised again when the test ends
            self.errors.append(error)
        finally:
            writer.transport.abort()
