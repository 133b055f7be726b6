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


async def test_a_half_close_ends_one_way_and_leaves_the_other(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    proxy.half_close("client")
    assert await client.receive() == b""
    client.send(b"answered into nothing")
    await asyncio.sleep(0.02)
    proxy.half_close("client")
    assert proxy.connections == 1
    client.close()


async def test_a_half_close_toward_the_server_still_brings_its_last_words() -> None:
    async def speak_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        await reader.read()
        writer.write(b"last words")
        writer.close()

    server = await asyncio.start_server(speak_at_the_end, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        client = await Client.connect(proxy)
        assert await client.receive() == b"welcome"
        proxy.half_close("server")
        assert await client.receive() == b"last words"
        client.close()
    server.close()


async def test_a_throttle_passes_byte_by_byte_until_it_ends(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    proxy.throttle(1)
    client.send(b"slow")
    receiving = asyncio.create_task(client.receive())
    await asyncio.wait({receiving}, timeout=0.1)
    assert not receiving.done()
    proxy.throttle(20)
    first = await receiving
    assert 1 <= len(first) < 4
    proxy.resume()
    rest = b""
    while len(first + rest) < 4:
        rest += await client.receive()
    assert first + rest == b"slow"
    client.close()


async def test_a_delay_makes_everything_late_and_what_waits_goes_on_at_its_end(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    loop = asyncio.get_running_loop()
    proxy.delay(0.1)
    started = loop.time()
    await _passes(client)
    assert 0.19 < loop.time() - started < 2
    proxy.delay(30)
    client.send(b"late")
    receiving = asyncio.create_task(client.receive())
    await asyncio.wait({receiving}, timeout=0.05)
    assert not receiving.done()
    proxy.resume()
    assert await receiving == b"late"
    client.close()


async def test_a_cut_lets_so_many_bytes_through_and_no_more() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        proxy.cut_after(7)
        client = await Client.connect(proxy)
        client.send(b"<iq")
        await asyncio.sleep(0.01)
        client.send(b" id='1'>")
        async with asyncio.timeout(5):
            assert await heard == b"<iq id="
        with pytest.raises(ConnectionResetError):
            await client.receive()
        client.close()
    server.close()


async def test_a_cut_is_called_off_at_the_end(proxy: Proxy) -> None:
    proxy.cut_after(3)
    proxy.resume()
    client = await Client.connect(proxy)
    await _passes(client)
    client.close()


async def test_what_is_lost_comes_again_and_all_that_follows_it_after_it(proxy: Proxy) -> None:
    client = await Client.connect(proxy)
    await _passes(client)
    proxy.lossy(1.0, seed=1)
    client.send(b"one ")
    client.send(b"two")
    receiving = asyncio.create_task(client.receive())
    await asyncio.wait({receiving}, timeout=0.3)
    assert not receiving.done(), "0.2 s at least, each way"
    proxy.resume()
    came = await receiving
    while came != b"one two":
        came += await client.receive()
    client.close()
