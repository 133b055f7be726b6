"""Modbus RTU on a real pair of terminals: pymodbus's serial server, and lines that are damaged or pulled."""

import asyncio
import errno
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pymodbus.server import ModbusSerialServer

from device_profiles import load
from iotxmpp.agent.drivers.modbus import ModbusDriver
from iotxmpp.agent.drivers.modbus.bindings import bindings
from iotxmpp.agent.drivers.modbus.twin import Twin
from iotxmpp.profiles import parse_profile

UNIT = 3
BOARD = """
schema = 1
id = "board"
version = "1.0.0"
driver = { kind = "modbus" }
[readings.relay]
type = "bool"
count = 20
source = { function = "coil", register = [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19] }
simulate = { wave = "steady", value = false }
[commands.switch]
effect = { set = "relay/{number}", to = "on" }
args.number = { type = "int" }
args.on = { type = "bool" }
"""


class Wire:
    """Two terminals joined to a line; what the device sends can be changed on its way."""

    def __init__(self) -> None:
        self._ends = (os.openpty(), os.openpty())
        self.ours, self.theirs = (os.ttyname(slave) for _, slave in self._ends)
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.echo = False
        loop = asyncio.get_running_loop()
        (ours, our_slave), (theirs, their_slave) = self._ends
        for slave in (our_slave, their_slave):
            tty.setraw(slave)
        loop.add_reader(ours, self._from_us, ours, theirs)
        loop.add_reader(theirs, self._to_us, theirs, ours)

    def _from_us(self, ours: int, theirs: int) -> None:
        data = os.read(ours, 4096)
        if self.echo:
            os.write(ours, data)
        os.write(theirs, data)

    def _to_us(self, theirs: int, ours: int) -> None:
        os.write(ours, self.change(os.read(theirs, 4096)))

    def pull(self) -> None:
        """Takes the adapter out."""
        self._close(self._ends[0])

    def close(self) -> None:
        for end in self._ends:
            self._close(end)

    def _close(self, end: tuple[int, int]) -> None:
        master, slave = end
        try:
            os.fstat(master)
        except OSError:
            return
        asyncio.get_running_loop().remove_reader(master)
        os.close(slave)
        os.close(master)


@asynccontextmanager
async def line(text: str | None = None) -> AsyncIterator[tuple[Wire, ModbusDriver]]:
    """A device at its end of a wire, and the driver at the other."""
    profile = load("sdm120") if text is None else parse_profile(text, "board.toml")
    twin = Twin(bindings(profile), unit=UNIT, seed="rtu", clock=lambda: 1_770_000_000.0)
    wire = Wire()
    server = ModbusSerialServer(twin.device(), port=wire.theirs, baudrate=9600, ignore_missing_devices=True)
    try:
        await server.serve_forever(background=True)
        settings = {"port": wire.ours, "baud": 9600, "unit": UNIT, "timeout": 0.25}
        async with ModbusDriver(profile=profile, settings=settings) as driver:
            yield wire, driver
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus gives it no type
        wire.close()


async def test_a_meter_is_read_on_a_serial_line() -> None:
    async with line() as (_, meter):
        values = await meter.read()
        assert values.keys() == load("sdm120").readings.keys()
        assert isinstance(values["voltage"], float)
        assert 200 < values["voltage"] < 260
        for _ in range(20):
            assert await meter.read() == values


async def test_relays_are_switched_on_a_serial_line() -> None:
    async with line(BOARD) as (_, board):
        await board.command("switch", {"number": 18, "on": True})
        values = await board.read()
        assert [channel for channel, on in values.items() if on] == ["relay/18"]


async def test_noise_before_an_answer_and_an_adapter_that_hears_itself_do_no_harm() -> None:
    async with line(BOARD) as (wire, board):
        wire.change = lambda data: b"\0" + data
        assert len(await board.read()) == 20
        wire.echo = True
        assert len(await board.read()) == 20


async def test_one_damaged_answer_is_asked_for_again_and_more_are_told() -> None:
    async with line(BOARD) as (wire, board):
        turns = iter([True])
        wire.change = lambda data: data[:-1] + b"\x55" if next(turns, False) else data
        assert len(await board.read()) == 20
        wire.change = lambda data: data[:-1] + b"\x55"
        with pytest.raises(TimeoutError, match=r"unit 3: a damaged answer \(no right checksum\); check baud"):
            await board.read()
        wire.change = lambda data: data
        assert len(await board.read()) == 20


async def test_a_device_that_is_not_there_is_told() -> None:
    async with line() as (wire, meter):
        wire.change = lambda data: b""
        words = "unit 3: nothing answers within 0.25 s; check unit, baud and parity, and whether A and B"
        with pytest.raises(TimeoutError, match=words):
            await meter.read()


async def test_an_adapter_that_is_pulled_is_told_at_once() -> None:
    async with line() as (wire, meter):
        assert await meter.read()
        wire.pull()
        with pytest.raises(ConnectionError, match="the line is gone; was the adapter unplugged"):
            await meter.read()
        with pytest.raises(ConnectionError, match="the line is gone"):
            await meter.read()


async def test_a_port_that_another_driver_has_is_told() -> None:
    async with line() as (wire, meter):
        second = ModbusDriver(profile=load("sdm120"), settings={"port": wire.ours})
        with pytest.raises(OSError, match=r"another program has it; .*fuser") as caught:
            async with second:
                pass
        assert caught.value.errno in {errno.EAGAIN, errno.EBUSY}
        assert await meter.read()
