"""A nameserver on loopback with the records that a test gives it (RFC 1035, RFC 2782)."""

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self, cast

import aiodns

_HEADER = struct.Struct("!6H")
_TYPES = {1: "A", 28: "AAAA", 33: "SRV"}
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583
_POINTER_TO_QUESTION = 0xC00C


class DnsStub:
    """Answers over UDP; a name without any record does not exist.

    Attributes:
        asked: The questions that came, as `(type, name)`.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self._records: dict[str, dict[str, list[bytes]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """The UDP port on 127.0.0.1."""
        if self._transport is None:
            raise RuntimeError("the nameserver is not open")
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Asked(self), ("127.0.0.1", 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def address(self, name: str, address: str) -> None:
        """Gives a host an IPv4 address."""
        self._add(name, "A", socket.inet_aton(address))

    def service(self, name: str, target: str, port: int, *, priority: int = 0) -> None:
        """Gives a service, such as `_xmpp-client._tcp.example.org`, a host and a port."""
        self._add(name, "SRV", struct.pack("!3H", priority, 0, port) + _encoded(target))

    def forget(self, name: str) -> None:
        """Takes all records of a name back."""
        self._records.pop(name, None)

    def resolver(self, loop: asyncio.AbstractEventLoop) -> aiodns.DNSResolver:
        """One that asks this nameserver and nobody else."""
        here = f"127.0.0.1:{self.port}"
        return aiodns.DNSResolver([here], loop, tries=2, timeout=5.0, lookups="b", domains=[])

    def answer(self, query: bytes) -> bytes:
        """The answer to a query of one question."""
        name, end = _decoded(query, _HEADER.size)
        code, _ = struct.unpack_from("!2H", query, end)
        kind = _TYPES.get(code, str(code))
        self.asked.append((kind, name))
        records = self._records.get(name)
        found = (records or {}).get(kind, [])
        flags = _NO_SUCH_NAME if records is None else _ANSWER
        header = _HEADER.pack(int.from_bytes(query[:2]), flags, 1, len(found), 0, 0)
        answers = (struct.pack("!3HIH", _POINTER_TO_QUESTION, code, 1, 0, len(data)) + data for data in found)
        return b"".join((header, query[_HEADER.size : end + 4], *answers))

    def _add(self, name: str, kind: str, data: bytes) -> None:
        self._records.setdefault(name, {}).setdefault(kind, []).append(data)


class _Asked(asyncio.DatagramProtocol):
    def __init__(self, stub: DnsStub) -> None:
        self._stub = stub

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._stub.answer(data), addr)


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _decoded(message: bytes, at: int) -> tuple[str, int]:
    """The name that stands there, in lower case, and where it ends."""
    labels = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(labels), at + 1
