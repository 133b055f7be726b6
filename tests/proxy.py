"""A TCP proxy on loopback that does to connections what networks do."""

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._ends: set[asyncio.StreamWriter] = set()
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
        for end in tuple(self._ends):
            _abort(end)

    def refuse(self) -> None:
        """Cuts every connection, and each new one, until `resume`."""
        self._refusing = True
        self.reset()

    def black_hole(self) -> None:
        """Passes nothing on, either way, until `resume`: connections stay open and silent."""
        self._flowing.clear()

    def resume(self) -> None:
        """Ends a black hole, where what waited goes on, and a refusal."""
        self._refusing = False
        self._flowing.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._refusing or task is None:
            _abort(writer)
            return
        self._serving.add(task)
        self._ends.add(writer)
        try:
            await self._pass_on(reader, writer)
        except asyncio.CancelledError:
            _abort(writer)  # the proxy closes; the stream's own task must not end as cancelled
        finally:
            self._ends.discard(writer)
            self._serving.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer)
            return
        self._ends.add(far_writer)
        pumps = (
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        )
        try:
            await asyncio.gather(*pumps)
        finally:
            self._ends.discard(far_writer)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, far_writer):
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        if not writer.is_closing():
            writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport = writer.transport
    transport.abort()
