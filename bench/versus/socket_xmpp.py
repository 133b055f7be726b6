"""XMPP by hand over one TLS socket: stanzas as bytes, no parser, no objects; the server's limit shows."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
import ssl
from typing import Any

CHUNK = 2**18
TIMEOUT = 20.0
ASK = b"<r xmlns='urn:xmpp:sm:3'/>"
ASK_AFTER = 100
"""Stanzas; this and the next are those of iotxmpp's link."""
ACK_WITHIN = 0.01


class Counted:
    """Counts a mark in a stream of bytes, also where it is cut in two."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._tail = b""

    def __call__(self, chunk: bytes) -> int:
        """How many more there are."""
        text = self._tail + chunk
        self._tail = text[-(len(self._mark) - 1) :]
        return text.count(self._mark)


class SocketClient:
    """A session: logged in by SCRAM-SHA-256 over direct TLS (XEP-0368), available.

    Args:
        where: `jid`, `password`, `host`, `direct_port`, `ca`.
        managed: Whether its stream is managed (XEP-0198), as iotxmpp's link has it.
    """

    def __init__(self, where: dict[str, Any], *, managed: bool = False) -> None:
        self._where = where
        self._managed = managed
        self._stanzas = [Counted(mark) for mark in (b"<iq ", b"<message ", b"<presence ")]
        self._asks = Counted(b"<r ")
        self._handled = 0
        self._answer_at: asyncio.TimerHandle | None = None
        self._user, _, self._domain = where["jid"].partition("@")

    async def start(self) -> None:
        """Logs in."""
        context = ssl.create_default_context(cafile=self._where["ca"])
        self.reader, self.writer = await asyncio.open_connection(
            self._where["host"],
            self._where["direct_port"],
            ssl=context,
            server_hostname=self._domain,
            limit=2**24,
        )
        async with asyncio.timeout(TIMEOUT):
            await self._open()
            await self._log_in()
            await self._open()
            bind = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
            await self._ask(bind, b"</iq>")
            if self._managed:
                await self._ask(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>", b"<enabled ")
            self.writer.write(b"<presence/>")

    async def read(self) -> bytes:
        """What came; what of it asks for an ack gets one a little later, as from iotxmpp's link."""
        chunk = await self.reader.read(CHUNK)
        if self._managed:
            self._handled += sum(counted(chunk) for counted in self._stanzas)
            if self._asks(chunk) and self._answer_at is None:
                self._answer_at = asyncio.get_running_loop().call_later(ACK_WITHIN, self._acknowledge)
        return chunk

    def request(self, number: int) -> bytes:
        """What to write behind the stanza of that number: at times a request for an ack."""
        return ASK if self._managed and number % ASK_AFTER == ASK_AFTER - 1 else b""

    def _acknowledge(self) -> None:
        self._answer_at = None
        self.writer.write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self._handled)

    async def close(self) -> None:
        """Ends it."""
        if self._answer_at is not None:
            self._answer_at.cancel()
        self.writer.write(b"</stream:stream>")
        self.writer.close()
        with contextlib.suppress(OSError):  # the server may have had more to say
            await self.writer.wait_closed()

    async def _open(self) -> None:
        header = (
            f"<?xml version='1.0'?><stream:stream to='{self._domain}' version='1.0' xmlns='jabber:client'"
            " xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        await self._ask(header.encode(), b"</stream:features>")

    async def _ask(self, said: bytes, until: bytes) -> bytes:
        self.writer.write(said)
        return await self.reader.readuntil(until)

    async def _log_in(self) -> None:
        """RFC 5802 and 7677."""
        first = f"n={self._user},r={secrets.token_urlsafe(24)}"
        auth = (
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>"
            f"{_base64(f'n,,{first}'.encode())}</auth>"
        )
        challenge = _text(await self._ask(auth.encode(), b"</challenge>"))
        given = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256",
            self._where["password"].encode(),
            base64.b64decode(given["s"]),
            int(given["i"]),
        )
        client_key = _hmac(salted, b"Client Key")
        final = f"c=biws,r={given['r']}"
        signature = _hmac(hashlib.sha256(client_key).digest(), f"{first},{challenge},{final}".encode())
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        response = (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
            f"{_base64(f'{final},p={_base64(proof)}'.encode())}</response>"
        )
        await self._ask(response.encode(), b"</success>")


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, "sha256").digest()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _text(element: bytes) -> str:
    inner = element.rpartition(b"</")[0].rpartition(b">")[2]
    return base64.b64decode(inner).decode()
