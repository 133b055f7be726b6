"""A device on its line: requests and answers by pymodbus, one at a time, with faults in words."""

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from iotxmpp.agent.drivers import off_loop
from iotxmpp.agent.drivers.modbus.answers import find_rtu, find_tcp
from iotxmpp.agent.drivers.modbus.bindings import BITS, Function, ModbusSettings
from iotxmpp.agent.drivers.modbus.library import why_closed, why_unreachable
from iotxmpp.errors import ConfigError

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
    from pymodbus.pdu import ModbusPDU

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
UNDONE = frozenset({ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE})
"""Exceptions of a device that did nothing; with others it may have done what was asked, or do it later."""

_RETRIES = 1
_QUIET = 0.005
_MOST_HEARD = 1 << 20
_MOST_SEARCHED = 4096
_BITS_IN_CHARACTER = 11
_CODES = {
    1: "it does not know this function",
    2: "it has no such register; check register and function in the source",
    3: "it does not take this count or value",
    4: "it failed while it did this",
    5: "it does it later (acknowledged)",
    6: "it is busy",
    8: "its memory is damaged",
    10: "the gateway has no way to it",
    11: "the gateway got no answer from it; check unit",
}


class RefusedError(OSError):
    """The device answered with an exception (section 7 of the application protocol).

    Attributes:
        code: Its exception code.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(errno.EREMOTEIO, text)
        self.code = code


class Line:
    """The way to one device; made in the loop, once the libraries are there.

    Args:
        settings: Where it is.
        tcp_port: The port on this machine of a simulated device, instead.
    """

    def __init__(self, settings: ModbusSettings, tcp_port: int | None = None) -> None:
        self._settings = settings
        self._is_serial = tcp_port is None and settings.port is not None
        self._where = (
            (settings.host or "", settings.tcp_port) if tcp_port is None else ("127.0.0.1", tcp_port)
        )
        self._request = b""
        self._fault = ""
        self._lost = asyncio.Event()
        self._asking = asyncio.Lock()
        self._quiet_until = 0.0
        self._client = self._made()
        # Beyond a frame's length pymodbus drops all that came, without showing it.
        self._client.ctx.max_buffer_size = _MOST_HEARD

    async def open(self) -> None:
        """Opens the port, or connects.

        Raises:
            ConfigError: The port does not do these settings.
            OSError: It cannot be opened.
        """
        try:
            connected = await self._client.connect()
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(f"driver modbus: {self._settings.place}: {error}") from error
        # Its transport is set up in the next turns of the loop, and must not be closed before.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if connected:
            return
        if self._is_serial:
            raise await off_loop(partial(why_closed, self._settings.port or ""))
        raise await off_loop(partial(why_unreachable, *self._where, self._settings.timeout))

    def close(self) -> None:
        """Lets the port or the connection go."""
        self._client.close()

    async def read(self, function: Function, start: int, count: int) -> list[int]:
        """What stands in the device: registers, or coils as 0 and 1.

        Raises:
            RefusedError: The device refuses.
            OSError: It does not answer, its answer was damaged, or the line is gone.
        """
        ask = {
            "holding": self._client.read_holding_registers,
            "input": self._client.read_input_registers,
            "coil": self._client.read_coils,
            "discrete": self._client.read_discrete_inputs,
        }[function]
        answer = await self._answer(
            f"{function} {start}", lambda: ask(start, count=count, device_id=self._settings.unit)
        )
        if function in BITS:
            return [int(bit) for bit in answer.bits[:count]]
        return list(answer.registers)

    async def write(self, function: Function, start: int, registers: list[int]) -> None:
        """Writes a coil (0 or 1) or holding registers.

        Raises:
            RefusedError: The device refuses.
            OSError: It does not answer, so that it may be written or not; or the line is gone.
        """
        unit, client, what = self._settings.unit, self._client, f"{function} {start}"
        if function == "coil":
            await self._answer(what, lambda: client.write_coil(start, bool(registers[0]), device_id=unit))
            return
        if len(registers) == 1:
            try:
                await self._answer(what, lambda: client.write_register(start, registers[0], device_id=unit))
            except RefusedError as error:
                # Some know only the function for several registers.
                if error.code != ILLEGAL_FUNCTION:
                    raise
            else:
                return
        await self._answer(what, lambda: client.write_registers(start, registers, device_id=unit))

    async def _answer(self, what: str, ask: Callable[[], "Awaitable[ModbusPDU]"]) -> "ModbusPDU":
        async with self._asking:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(self._quiet_until - loop.time())
            # Until the answer is there, whatever comes late is not for the next request.
            self._quiet_until = loop.time() + self._settings.timeout
            answer = await self._asked(ask)
            self._quiet_until = loop.time() + self._pause
        if not answer.isError():
            return answer
        code = getattr(answer, "exception_code", 0)
        words = _CODES.get(code, "no code of Modbus")
        raise RefusedError(f"{self._unit}: {what}: exception {code}, {words}", code)

    async def _asked(self, ask: Callable[[], "Awaitable[ModbusPDU]"]) -> "ModbusPDU":
        from pymodbus.exceptions import ModbusException  # noqa: PLC0415  # see library.bring_in

        self._fault = ""
        asking = asyncio.ensure_future(_awaited(ask))
        losing = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({asking, losing}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
        except ModbusException as error:
            if self._client.connected:
                raise TimeoutError(errno.ETIMEDOUT, self._silence()) from error
        finally:
            self._request = b""
            for task in (asking, losing):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ModbusException):
                await asking
        raise ConnectionError(errno.ENOTCONN, f"{self._settings.place}: the line is gone; {self._gone()}")

    def _heard(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001  # pymodbus calls it so
        """Keeps what is sent; of what comes, lets only the answer to it through to pymodbus."""
        if sending:
            self._request = data
            return data
        if not self._request:
            return b""
        found = (find_rtu if self._is_serial else find_tcp)(self._request, data[:_MOST_SEARCHED])
        self._fault = found.fault or self._fault
        if found.frame:
            self._request = b""
        return found.frame

    def _told(self, connected: bool) -> None:  # noqa: FBT001  # pymodbus calls it so
        if not connected:
            self._lost.set()

    def _silence(self) -> str:
        if self._fault:
            advice = "check baud and parity, the shield and the resistors at both ends"
            return f"{self._unit}: {self._fault}" + (f"; {advice}" if self._is_serial else "")
        advice = "check unit; a gateway's serial side has its own settings"
        if self._is_serial:
            advice = "check unit, baud and parity, and whether A and B are swapped"
        return f"{self._unit}: nothing answers within {self._settings.timeout:g} s; {advice}"

    def _gone(self) -> str:
        return "was the adapter unplugged?" if self._is_serial else "the device closed the connection"

    @property
    def _unit(self) -> str:
        return f"{self._settings.place}: unit {self._settings.unit}"

    @property
    def _pause(self) -> float:
        """Seconds of silence that end a frame: 3.5 characters, and a little for slow devices."""
        return max(_QUIET, 4 * _BITS_IN_CHARACTER / self._settings.baud) if self._is_serial else 0.0

    def _made(self) -> "AsyncModbusSerialClient | AsyncModbusTcpClient":
        from pymodbus.client import (  # noqa: PLC0415  # see library.bring_in
            AsyncModbusSerialClient,
            AsyncModbusTcpClient,
        )

        settings = self._settings
        if self._is_serial:
            return AsyncModbusSerialClient(
                settings.port or "",
                baudrate=settings.baud,
                parity=settings.parity,
                stopbits=settings.stop_bits,
                timeout=settings.timeout,
                retries=_RETRIES,
                reconnect_delay=0,
                trace_packet=self._heard,
                trace_connect=self._told,
            )
        host, port = self._where
        return AsyncModbusTcpClient(
            host,
            port=port,
            timeout=settings.timeout,
            retries=_RETRIES,
            reconnect_delay=0,
            trace_packet=self._heard,
            trace_connect=self._told,
        )


async def _awaited(ask: Callable[[], "Awaitable[ModbusPDU]"]) -> "ModbusPDU":
    return await ask()
