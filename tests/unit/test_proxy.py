"""The proxy that the tests over TCP cut connections with."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.proxy import Proxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # cut by a test
    finally:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, proxy: Proxy) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", proxy.port))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.read(1024)

    def close(self) -> None:
        self._writer.close()


async def _passes(client: Client) -> None:
    client.send(b"hello")
    assert await client.receive() == b"hello"


async def test_it_passes_on_both_ways(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    assert proxy.connections == 1
    client.close()


async def test_a_reset_cuts_every_connection_and_welcomes_new_ones(proxy: Proxy) -> None:
    clients = [await Client.connect(proxy) for _ in range(2)]
    for client in clients:
        await _passes(client)
    proxy.reset()
    for client in clients:
        with pytest.raises(ConnectionResetError):
            await client.receive()
        client.close()
    again = await Client.connect(proxy)
    await _passes(again)
    again.close()


async def test_a_black_hole_is_silent_until_it_ends(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    proxy.black_hole()
    client.send(b"late")
    receiving = asyncio.create_task(client.receive())
    await asyncio.wait({receiving}, timeout=0.05)
    assert not receiving.done()
    proxy.resume()
    assert await receiving == b"late"
    client.close()


async def test_refused_connections_are_cut_until_that_ends(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    proxy.refuse()
    refused = await Client.connect(proxy)
    for one in (client, refused):
        with pytest.raises(ConnectionResetError):
            await one.receive()
        one.close()
    proxy.resume()
    again = await Client.connect(proxy)
    await _passes(again)
    again.close()


async def test_an_end_is_passed_on(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    client._writer.write_eof()
    assert await client.receive() == b""
    client.close()


async def test_closing_it_cuts_what_it_passes_on_even_in_a_black_hole() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        client = await Client.connect(proxy)
        await _passes(client)
        proxy.black_hole()
        client.send(b"swallowed")
        await asyncio.sleep(0.01)
    with pytest.raises(ConnectionResetError):
        await client.receive()
    client.close()
    server.close()
