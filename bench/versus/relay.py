"""A relay on the loopback interface that counts the bytes of a connection, both ways, as TLS sends them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

_CHUNK = 2**16


@dataclass(kw_only=True)
class Relay:
    """A relay.

    Attributes:
        port: Where clients connect.
        up: Bytes from the client so far.
        down: Bytes to it.
    """

    port: int
    up: int = 0
    down: int = 0


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """Passes on to that port of the loopback interface whatever comes."""
    counted = Relay(port=0)

    def sent(count: int) -> None:
        counted.up += count

    def got(count: int) -> None:
        counted.down += count

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass(reader, back, sent), _pass(there, writer, got))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    counted.port = server.sockets[0].getsockname()[1]
    try:
        yield counted
    finally:
        server.close()
        await server.wait_closed()


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]
) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            count(len(chunk))
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass  # one end is gone; so will the other
    finally:
        writer.close()
