"""An open serial port on the event loop, held by us alone."""

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from firmware_bridge.candidates import holders, is_serial
from firmware_bridge.reserving import check_unreserved
from iotxmpp.errors import ConfigError

SLICE = 16_384
"""Bytes that are handed on at most before the rest of the program has its turn."""

OPEN_WITHIN = 10.0
"""Seconds that the system has to open a port."""

CLOSE_WITHIN = 3.0
"""Seconds that it has to close it."""

MISSING = "serial ports need the package serialx; install it: pip install 'iotxmpp[serial]'"


class Receiver(Protocol):
    """Who gets what comes from a wire."""

    def received(self, data: bytes) -> None:
        """Takes what came: at most `SLICE` bytes."""
        ...

    def lost(self, error: OSError) -> None:
        """The wire is gone; told once, and not after it was closed."""
        ...


class Wire(Protocol):
    """What a link speaks through."""

    def write(self, data: bytes) -> None:
        """Sends."""
        ...

    async def close(self) -> None:
        """Ends it; nothing is received any more."""
        ...


Opener = Callable[[Receiver], Awaitable[Wire]]
"""Opens a wire; raises OSError."""


class Port(asyncio.Protocol):
    """A serial port; made by `open_port`.

    Args:
        path: The port.
        receiver: Gets what comes.
    """

    def __init__(self, path: str, receiver: Receiver) -> None:
        self._path = path
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting = b""
        self._closed = False
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hands on what came; more than a slice only after the rest of the program had its turn."""
        if self._closed:
            return
        if self._waiting or len(data) > SLICE:
            if not self._waiting:
                self._loop.call_soon(self._hand_on)
            self._waiting += data
            if self._transport is not None:
                self._transport.pause_reading()
            return
        self._receiver.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The port is gone, or closed by us."""
        self._gone.set()
        if self._closed:
            return
        self._closed = True
        why = getattr(exc, "strerror", None) or "the other end closed it"
        self._receiver.lost(OSError(errno.ENODEV, f"{self._path}: gone ({why}); was it unplugged?"))

    def write(self, data: bytes) -> None:
        """Sends; what cannot be sent is told as the loss of the port."""
        if self._transport is None or self._closed:
            return
        with contextlib.suppress(OSError):
            self._transport.write(data)

    async def close(self) -> None:
        """Closes the port; what is not yet sent is dropped."""
        self._closed = True
        self._waiting = b""
        if self._transport is None:
            return
        _keep_out(self._transport.get_extra_info("serial"), termios.TIOCNXCL)
        self._transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._gone.wait()

    def _hand_on(self) -> None:
        if self._closed:
            return
        data, self._waiting = self._waiting[:SLICE], self._waiting[SLICE:]
        if self._waiting:
            self._loop.call_soon(self._hand_on)
        elif self._transport is not None:
            self._transport.resume_reading()
        self._receiver.received(data)


async def open_port(path: str, baud: int, receiver: Receiver) -> Port:
    """Opens a port for us alone.

    Its DTR line is left high when it is closed, so that only the first opening after plugging in resets a
    board whose reset hangs on it.

    Args:
        path: The port, or `socket://host:port`.
        baud: Bits a second.
        receiver: Gets what comes.

    Raises:
        OSError: It is not there, may not be opened, or is held by another program; the text says what to do.
        ConfigError: The package for serial ports is missing, or the port does not know that speed.
    """
    try:
        import serialx  # noqa: PLC0415  # an agent without a serial port does not load it
    except ImportError as error:
        raise ConfigError(MISSING) from error
    await check_free(path)
    port = Port(path, receiver)
    left = serialx.PinState.UNDEFINED
    pins: dict[str, Any] = {} if "://" in path else {"dtr_on_close": left, "rts_on_close": left}
    try:
        async with asyncio.timeout(OPEN_WITHIN):
            transport, _ = await serialx.create_serial_connection(
                asyncio.get_running_loop(), lambda: port, path, baud, **pins
            )
    except TimeoutError as error:
        raise OSError(
            errno.ETIMEDOUT, f"{path}: not open after {OPEN_WITHIN:g} s; unplug it and plug it in again"
        ) from error
    except OSError as error:
        raise explained(error, path) from error
    except (ValueError, termios.error, serialx.SerialException) as error:
        raise ConfigError(f"{path}: cannot be used with {baud} baud: {error}") from error
    _keep_out(transport.get_extra_info("serial"), termios.TIOCEXCL)
    try:
        check_unreserved(path)  # since we looked
    except OSError:
        await port.close()
        raise
    return port


async def check_free(path: str) -> None:
    """Raises OSError if it is no serial port, or if another program has it.

    Not each program takes a lock, or heeds one.
    """
    if "://" in path:
        return
    if not is_serial(path):
        raise explained(OSError(errno.ENOTTY, "no terminal"), path)
    check_unreserved(path)
    if await asyncio.to_thread(holders, path):
        raise explained(OSError(errno.EBUSY, "held"), path)


def explained(error: OSError, path: str) -> OSError:
    """The same error, with what to do."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            text = f"no permission; sudo usermod -aG {_group(path)} $USER, then log in again"
        case errno.EBUSY | errno.EAGAIN:
            text = f"held by {', '.join(holders(path)) or 'another program'}; close that first"
        case errno.ENOENT | errno.ENODEV | errno.ENXIO | errno.EIO:
            text = "not there; plug the board in, or see which there are: iotxmpp serial list"
        case errno.ENOTTY | errno.EINVAL:
            text = "no serial port; see which there are: iotxmpp serial list"
        case _:
            text = error.strerror or str(error) or type(error).__name__
    return OSError(error.errno or errno.EIO, f"{path}: {text}")


def _keep_out(serial: object, request: int) -> None:
    """Keeps those out that ask for no lock, such as terminal programs, or lets them in again."""
    fileno = getattr(serial, "fileno", None)
    if callable(fileno):
        with contextlib.suppress(OSError, AssertionError, ValueError):
            fcntl.ioctl(fileno(), request)


def _group(path: str) -> str:
    """The group that may open the port."""
    import grp  # noqa: PLC0415  # needed for an error's text alone

    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name  # noqa: PTH116  # a text, as users gave it
    except (OSError, KeyError):
        return "dialout"
