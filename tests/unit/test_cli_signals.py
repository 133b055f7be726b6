"""What signals do to a command."""

import asyncio
import os
import signal

import pytest

from iotxmpp.cli.signals import interruptible, stopping, unless

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def before() -> list[object]:
    """The handlers of the signals, as they were."""
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@SIGNALS
async def test_a_signal_leaves_the_body_wherever_it_waits(number: signal.Signals) -> None:
    cleaned = False
    async with asyncio.timeout(5), interruptible():
        try:
            send(number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # cleaning up may wait
            cleaned = True
    assert cleaned
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_second_signal_does_not_disturb_the_cleaning_up() -> None:
    cleaned = False
    async with asyncio.timeout(5), interruptible():
        try:
            send(signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            send(signal.SIGINT)
            await asyncio.sleep(0.02)
            cleaned = True
    assert cleaned


async def test_without_a_signal_the_body_ends_by_itself(before: list[object]) -> None:
    async with interruptible():
        await asyncio.sleep(0)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


async def test_an_error_of_the_body_goes_on() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with interruptible():
            raise ValueError("mine")


async def test_a_cancellation_that_is_no_signal_goes_on() -> None:
    async def wait() -> None:
        async with interruptible():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@SIGNALS
async def test_a_signal_sets_the_event_and_the_body_goes_on(number: signal.Signals) -> None:
    async with asyncio.timeout(5), stopping() as stop:
        assert not stop.is_set()
        send(number)
        await stop.wait()
        await asyncio.sleep(0)
        send(number)  # and nothing more happens
        await asyncio.sleep(0.01)


async def test_work_that_ends_before_the_event_has_ended() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("work")

    assert await unless(asyncio.Event(), work())
    assert done == ["work"]


async def test_work_is_ended_by_the_event_and_cleans_up_first() -> None:
    stop, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    assert not await unless(stop, work())
    assert cleaned.is_set()


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await unless(asyncio.Event(), work())


async def test_work_is_ended_when_nobody_waits_for_it_any_more() -> None:
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    task = asyncio.create_task(unless(asyncio.Event(), work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()
