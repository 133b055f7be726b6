"""A driver is opened, and after a failure reopened once its delay is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

import pytest

from iotxmpp.agent.drivers import Pushing, Sample
from iotxmpp.agent.opening import OpenedDriver, hardware_backoff
from iotxmpp.backoff import Backoff
from tests.unit.agent_house import until
from tests.unit.scripted_driver import Pushed, Scripted, quick


def test_the_delays_are_from_one_second_to_one_minute() -> None:
    backoff = hardware_backoff()
    assert (backoff.first, backoff.longest) == (1.0, 60.0)


def test_which_drivers_push() -> None:
    assert isinstance(Pushed(), Pushing)
    assert not isinstance(Scripted(), Pushing)


async def test_after_a_failed_open_the_hardware_is_left_alone_for_its_delay() -> None:
    driver = Scripted()
    driver.opening = FileNotFoundError(2, "no such device")
    backoff = Backoff(first=0.1, choose=lambda _low, high: high)
    async with OpenedDriver(lambda: driver, backoff=backoff) as opened:
        for _ in range(5):
            with pytest.raises(FileNotFoundError, match="no such device"):
                await opened.read()
        with pytest.raises(FileNotFoundError, match="no such device"):
            await opened.command("ring", {})
        assert driver.tries == 1
        driver.opening = None
        await asyncio.sleep(0.11)
        assert await opened.read() == {}
        assert driver.tries == 2


async def test_the_delays_grow_and_start_again_after_an_answer() -> None:
    driver, delays = Scripted(), list[float]()

    def choose(_low: float, high: float) -> float:
        delays.append(high)
        return 0.0

    driver.opening = OSError("gone")
    async with OpenedDriver(lambda: driver, backoff=Backoff(longest=3.0, choose=choose)) as opened:
        for _ in range(4):
            with pytest.raises(OSError, match="gone"):
                await opened.read()
        driver.opening = None
        await opened.read()
        driver.reading = OSError("pulled out")
        with pytest.raises(OSError, match="pulled out"):
            await opened.read()
    assert delays == [1.0, 2.0, 3.0, 3.0, 1.0]
    assert (driver.opened, driver.closed) == (1, 1)


async def test_an_open_that_hangs_is_given_up() -> None:
    driver = Scripted()
    driver.hangs = True
    async with OpenedDriver(lambda: driver, open_within=0.05, backoff=quick()) as opened:
        with pytest.raises(TimeoutError, match=r"not open after 0\.05 s"):
            await opened.read()
        assert driver.cancelled == 1
        driver.hangs = False
        await asyncio.sleep(0.02)
        await opened.read()
    assert (driver.opened, driver.closed) == (1, 1)


async def test_who_waits_for_an_open_and_is_cancelled_leaves_it_to_the_next() -> None:
    driver = Scripted()
    driver.hangs = True
    async with OpenedDriver(lambda: driver, backoff=quick()) as opened:
        first = asyncio.create_task(opened.read())
        await until(lambda: driver.tries == 1)
        second = asyncio.create_task(opened.command("ring", {}))
        await asyncio.sleep(0)
        driver.hangs = False
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        assert driver.cancelled == 1
        assert await second == "ring 0"
    assert (driver.opened, driver.closed) == (1, 1)


class Panic(BaseException):
    """What no `except Exception` takes."""


PANICS = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    Panic("hot"),
    BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError("half")]),
]


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), ValueError("half a message"), *PANICS], ids=repr)
async def test_no_fault_of_opening_ends_more_than_the_attempt(fault: BaseException) -> None:
    driver = Scripted()
    driver.opening = fault
    async with OpenedDriver(lambda: driver, backoff=quick()) as opened:
        with pytest.raises((ConnectionError, RuntimeError, ValueError)):
            await opened.read()
        driver.opening = None
        await asyncio.sleep(0.02)
        assert await opened.read() == {}


async def test_a_driver_that_fails_to_close_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Scripted):
        async def __aexit__(self, *_: object) -> None:
            self.closed += 1
            raise RuntimeError("stuck")

    driver = Stuck()
    async with OpenedDriver(lambda: driver) as opened:
        await opened.read()
    assert driver.closed == 1
    assert "the driver could not be closed: RuntimeError: stuck" in caplog.text


@pytest.mark.parametrize("fault", PANICS, ids=repr)
async def test_no_fault_of_opening_ends_the_keeping_open(fault: BaseException) -> None:
    driver, told = Pushed(), list[Exception]()
    driver.opening = fault
    opened = OpenedDriver(lambda: driver, take=lambda _: None, failed=told.append, backoff=quick())
    async with opened:
        await until(lambda: bool(told))
        assert isinstance(told[0], RuntimeError)
        assert type(fault).__name__ in str(told[0])
        driver.opening = None
        await until(lambda: driver.streams == 1)
    assert (driver.opened, driver.closed) == (1, 1)


@pytest.mark.parametrize("fault", [*PANICS, asyncio.CancelledError()], ids=repr)
async def test_no_fault_of_closing_is_more_than_a_warning(
    fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Pushed):
        async def __aexit__(self, *_: object) -> None:
            self.closed += 1
            raise fault

    driver, told = Stuck(), list[Exception]()
    opened = OpenedDriver(lambda: driver, take=lambda _: None, failed=told.append, backoff=quick())
    async with opened:
        driver.news.put_nowait(OSError(19, "unplugged"))
        await until(lambda: driver.streams == 2)
        assert [str(error) for error in told] == ["[Errno 19] unplugged"]
    assert driver.closed == 2
    assert f"the driver could not be closed: {'RuntimeError: ' if fault in PANICS else ''}" in caplog.text


@pytest.mark.parametrize("fault", PANICS, ids=repr)
async def test_a_driver_that_answers_our_cancelling_with_a_fault_is_not_opened_again(
    fault: BaseException,
) -> None:
    class Rude(Pushed):
        async def __aenter__(self) -> Self:
            self.tries += 1
            try:
                await asyncio.Event().wait()
            finally:
                raise fault

    driver = Rude()
    async with OpenedDriver(lambda: driver, take=lambda _: None, backoff=quick()):
        await until(lambda: driver.tries == 1)
    await asyncio.sleep(0.05)
    assert driver.tries == 1


async def test_samples_that_cannot_begin_are_told_and_begun_again() -> None:
    class Unwilling(Pushed):
        def samples(self) -> AsyncIterator[Sample]:
            if self.opened == 1:
                raise KeyboardInterrupt
            return super().samples()

    driver, told = Unwilling(), list[Exception]()
    opened = OpenedDriver(lambda: driver, take=lambda _: None, failed=told.append, backoff=quick())
    async with opened:
        await until(lambda: driver.streams == 1)
    assert [str(error) for error in told] == ["KeyboardInterrupt"]
