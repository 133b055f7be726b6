"""The modbus driver hears more than any frame has: that is told as damage, not as silence."""

import asyncio
import os
import random
import tty
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from iotxmpp.agent.drivers.modbus import ModbusDriver
from tests.unit.modbus_house import ONE, profile, registers, reply, serving

Answering = Callable[[Callable[[bytes], object]], Coroutine[object, object, None]]
NOISE = random.Random(5).randbytes(4000)  # noqa: S311  # noise of a line, the same in each run


@pytest.mark.parametrize("length", [263, 300, 1200, 4000])
async def test_long_rubbish_over_tcp_is_told_as_such(length: int) -> None:
    async with serving(lambda request: NOISE[:length]) as (_, driver):
        with pytest.raises(TimeoutError, match="unit 1: what came is no Modbus TCP"):
            await driver.read()


async def test_an_answer_after_many_late_ones_is_found() -> None:
    def after_late_ones(request: bytes) -> bytes:
        late = reply(b"\xff\xfe" + request[2:], b"\3\2\0\1")
        return late * 60 + registers(request)

    async with serving(after_late_ones) as (_, driver):
        assert await driver.read() == {"x": 7.0}


@pytest.mark.parametrize(("length", "times"), [(300, 1), (1000, 1), (200, 20)])
async def test_a_flood_on_a_serial_line_is_told_as_damage(length: int, times: int) -> None:
    async def flood(write: Callable[[bytes], object]) -> None:
        for number in range(times):
            write(NOISE[number : number + length])
            await asyncio.sleep(0.005)

    async with at_a_line(flood) as driver:
        with pytest.raises(TimeoutError, match=r"unit 1: a damaged answer .*; check baud and parity"):
            await driver.read()


async def test_silence_on_a_serial_line_is_silence() -> None:
    async def nothing(write: Callable[[bytes], object]) -> None:
        write(b"")

    async with at_a_line(nothing) as driver:
        with pytest.raises(TimeoutError, match=r"nothing answers within 0\.2 s"):
            await driver.read()


@asynccontextmanager
async def at_a_line(answer: Answering) -> AsyncIterator[ModbusDriver]:
    """A driver at a pty, at whose other end each request is answered so."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    answering: set[asyncio.Task[None]] = set()

    def asked() -> None:
        os.read(ours, 4096)
        answering.add(asyncio.create_task(answer(lambda data: os.write(ours, data))))

    loop = asyncio.get_running_loop()
    loop.add_reader(ours, asked)
    settings = {"port": os.ttyname(theirs), "timeout": 0.2, "baud": 115_200}
    try:
        async with ModbusDriver(profile=profile(ONE), settings=settings) as driver:
            yield driver
        await asyncio.gather(*answering)
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
