"""A TCP proxy on loopback that does to connections what networks do."""

import asyncio
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

_CHUNK = 65_536
_RESENT = (0.2, 3.0)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Side = Literal["server", "client"]


class Proxy:
    """Passes connections on to a server.

    Args:
        host: The server's host.
        port: The server's port.
        at: The address to listen at, on loopback; port 0 takes a free one.
    """

    def __init__(self, host: str, port: int, *, at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target = (host, port)
        self._at = at
        self._server: asyncio.Server | None = None
        self._refusing = False
        self._weather = _Weather()
        self._streams: set[_Stream] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port to connect to."""
        if self._server is None:
            raise RuntimeError("the proxy is not open")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections are passed on now."""
        return len(self._serving)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, *self._at)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        serving = tuple(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def reset(self) -> None:
        """Cuts every connection with a TCP reset, at both ends; new ones are welcome."""
        for stream in tuple(self._streams):
            stream.abort()

    def refuse(self) -> None:
        """Cuts every connection, and each new one, until `resume`."""
        self._refusing = True
        self.reset()

    def black_hole(self) -> None:
        """Passes nothing on, either way, until `resume`: connections stay open and silent."""
        self._weather.set(silent=True)

    def throttle(self, rate: float) -> None:
        """Passes at most so many bytes a second on, each way of each connection, until `resume`."""
        self._weather.set(rate=rate)

    def delay(self, seconds: float) -> None:
        """Passes everything on so much later, each way, until `resume`."""
        self._weather.set(latency=seconds)

    def lossy(self, chance: float, *, seed: int) -> None:
        """Loses packets with this chance, until `resume`.

        TCP sends what was lost again: so it, and all that follows it, comes 0.2 to 3 s later.
        """
        self._weather.set(loss=chance)
        self._weather.chance.seed(seed)

    def half_close(self, toward: Side) -> None:
        """Ends one way of every connection, so that this side reads its end; the other way goes on."""
        for stream in tuple(self._streams):
            stream.half_close(toward)

    def cut_after(self, count: int) -> None:
        """Lets so many more bytes of the clients through, then ends the connection that brought the last.

        The server gets every byte up to there, and then the end: the middle of whatever was being sent.
        """
        self._weather.cut_after = count

    def resume(self) -> None:
        """Ends a black hole, a throttle, a delay and loss, where what waited goes on, a refusal and a cut."""
        self._refusing = False
        self._weather.cut_after = None
        self._weather.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._refusing or task is None:
            _abort(writer)
            return
        self._serving.add(task)
        stream = _Stream(reader, writer, self._weather)
        self._streams.add(stream)
        try:
            await stream.run(*self._target)
        except asyncio.CancelledError:
            stream.abort()  # the proxy closes; the stream's own task must not end as cancelled
        finally:
            self._streams.discard(stream)
            self._serving.discard(task)


class _Weather:
    """What is done to bytes now.

    Attributes:
        silent: Nothing is passed on.
        rate: Bytes a second; None for no bound.
        latency: Seconds that everything is late.
        loss: The chance that a packet has to be sent again.
        chance: Decides that.
        cut_after: How many bytes of clients may still pass; None for no bound.
    """

    def __init__(self) -> None:
        self.cut_after: int | None = None
        self.chance = random.Random(0)  # noqa: S311  # no secret
        self._changed = asyncio.Event()
        self.set()

    def set(
        self, *, silent: bool = False, rate: float | None = None, latency: float = 0.0, loss: float = 0.0
    ) -> None:
        """Changes it, and wakes whoever waits in the old one."""
        self.silent, self.rate, self.latency, self.loss = silent, rate, latency, loss
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, seconds: float | None) -> None:
        """Returns when it changes, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


class _Stream:
    """One connection: a client's end, the server's end, and the two ways between them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, weather: _Weather) -> None:
        self._reader = reader
        self._writers: dict[Side, asyncio.StreamWriter] = {"client": writer}
        self._ways: dict[Side, _Way] = {}
        self._weather = weather

    async def run(self, host: str, port: int) -> None:
        """Passes on until both ways have ended."""
        try:
            far_reader, self._writers["server"] = await asyncio.open_connection(host, port)
        except OSError:
            self.abort()
            return
        self._ways = {
            "server": _Way(self._reader, self._writers["server"], self._weather, self),
            "client": _Way(far_reader, self._writers["client"], self._weather, None),
        }
        pumps = [
            asyncio.create_task(work) for way in self._ways.values() for work in (way.take(), way.give())
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in self._writers.values():
                end.close()

    def abort(self) -> None:
        """Resets both ends."""
        for end in self._writers.values():
            _abort(end)

    def half_close(self, toward: Side) -> None:
        """Says at one end that nothing more comes."""
        way = self._ways.get(toward)
        if way is not None:
            way.end()

    async def cut(self) -> None:
        """Lets the server have what was passed on, and ends."""
        with suppress(OSError):
            await self._writers["server"].drain()
        self._writers["server"].close()
        _abort(self._writers["client"])


class _Way:
    """One direction of a connection; what comes after its end is dropped."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        weather: _Weather,
        cuts: _Stream | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._weather = weather
        self._cuts = cuts
        self._ended = False
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._room = asyncio.Semaphore(64)
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """Says at its far end that nothing more comes."""
        if not self._ended and not self._writer.is_closing():
            self._ended = True
            with suppress(OSError):
                self._writer.write_eof()

    async def take(self) -> None:
        """Takes bytes in, with the time of their coming, until the end."""
        data = b"-"
        while data:
            await self._room.acquire()
            try:
                data = await self._reader.read(_CHUNK)
            except OSError:
                data = b""
            self._waiting.append((self._loop.time(), data))
            self._came.set()

    async def give(self) -> None:
        """Hands them on as the weather lets them, until the end."""
        with suppress(OSError):
            while True:
                await self._came.wait()
                came, data = self._waiting.popleft()
                self._room.release()
                if not self._waiting:
                    self._came.clear()
                await self._until_due(came)
                if not data:
                    break
                if self._weather.chance.random() < self._weather.loss:
                    await self._weather.change(self._weather.chance.uniform(*_RESENT))
                await self._hand_on(data)
        if not self._writer.is_closing():
            self._writer.close()

    async def _until_due(self, came: float) -> None:
        while self._weather.silent or (wait := came + self._weather.latency - self._loop.time()) > 0:
            await self._weather.change(None if self._weather.silent else wait)

    async def _hand_on(self, data: bytes) -> None:
        while data:
            rate, share = self._weather.rate, len(data)
            if rate is not None:
                share = min(share, max(1, int(rate)))
                await self._weather.change(share / rate)
                await self._until_due(0.0)
            await self._write(data[:share])
            data = data[share:]

    async def _write(self, data: bytes) -> None:
        if self._ended:
            return
        left = self._weather.cut_after
        if self._cuts is None or left is None or len(data) < left:
            if self._cuts is not None and left is not None:
                self._weather.cut_after = left - len(data)
            self._writer.write(data)
            await self._writer.drain()
            return
        self._weather.cut_after = None
        self._writer.write(data[:left])
        await self._cuts.cut()
        raise ConnectionAbortedError


def _abort(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport = writer.transport
    transport.abort()
