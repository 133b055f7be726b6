"""What a driver gives by itself: published as it comes, and no more often than is due."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from iotxmpp import Agent
from iotxmpp.agent.drivers import Sample
from iotxmpp.agent.feeding import A_SECOND, BURST, Gate
from iotxmpp.agent.sensors import Rhythm
from tests.unit.agent_house import House, until
from tests.unit.scripted_driver import PROFILE, Pushed, Scripted, problems


async def test_samples_are_published_without_being_asked_for(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    agent = agent_of(driver)
    at = time.time() - 5
    async with agent:
        await until(lambda: driver.streams == 1)
        driver.news.put_nowait(Sample(values={"temperature": 21.5}, at=at))
        for text in ("started", "started", "ready"):
            driver.push(said=text)
        await until(lambda: len(house.values("said")) == 3)
    (reading,) = [reading for reading in house.readings if reading.channel == "temperature"]
    assert reading.value == 21.5
    assert reading.time == pytest.approx(at, abs=0.001)
    assert reading.unit == "Cel"
    assert (driver.ended, driver.closed) == (1, 1)


class SilentError(Exception):
    """One that cannot tell its text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


async def test_a_bad_sample_is_a_problem_and_not_published(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    agent = agent_of(driver)
    async with agent:
        driver.push(temperature=900.0, said="hot")
        driver.push(wind=3)
        await until(lambda: len(problems(agent)) == 2)
        assert problems(agent) == (
            "temperature: 900 is out of its range, -40 to 85",
            "station: gives 'wind', which is none of its channels",
        )
        driver.push(temperature=21.0)
        await until(lambda: house.values("temperature") == [21.0])
        assert len(problems(agent)) == 1
    assert house.values("said") == ["hot"]
    assert driver.opened == 1


async def test_a_value_that_python_refuses_to_write_is_a_problem_of_its_channel_alone(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    agent = agent_of(driver, PROFILE.replace("every = 0.02", "every = 60"))
    async with agent:
        driver.push(door=1 << 70_000, said="hot")
        await until(lambda: house.values("said") == ["hot"])
        assert problems(agent) == ("door: an integer of 70001 bits is int, expected bool",)
        driver.push(door=True)
        await until(lambda: house.values("door") == [True])
        assert problems(agent) == ()
    assert driver.opened == 1


@pytest.mark.parametrize(
    ("news", "words"),
    [
        (OSError(5, "unplugged"), "station: OSError: [Errno 5] unplugged"),
        (None, "station: ConnectionError: the driver gives no more samples"),
        (ValueError("confused"), "station: ValueError: confused"),
        (SilentError(), "station: SilentError"),
        (SystemExit(1), "station: RuntimeError: SystemExit: 1"),
        (KeyboardInterrupt(), "station: RuntimeError: KeyboardInterrupt"),
        (GeneratorExit(), "station: RuntimeError: GeneratorExit"),
        (
            BaseExceptionGroup("two", [KeyboardInterrupt()]),
            "station: RuntimeError: BaseExceptionGroup: two (1 sub-exception)",
        ),
        (asyncio.CancelledError(), "station: ConnectionError: the driver was cancelled"),
    ],
)
async def test_samples_that_end_are_a_problem_until_they_come_again(
    agent_of: Callable[..., Agent],
    house: House,
    news: BaseException | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Pushed()
    agent = agent_of(driver, PROFILE.replace("every = 0.02", "every = 60"))
    async with agent:
        driver.push(door=True)
        await until(lambda: house.values("door") == [True])
        driver.opening = OSError("not there yet")
        driver.news.put_nowait(news)
        await until(lambda: words in problems(agent) or driver.tries > 3)
        await until(lambda: problems(agent) == ("station: OSError: not there yet",))
        assert (driver.opened, driver.closed, driver.ended) == (1, 1, 1)
        driver.opening = None
        driver.push(door=False)
        await until(lambda: house.values("door") == [True, False])
        assert problems(agent) == ()
    assert (driver.opened, driver.closed) == (2, 2)


async def test_a_flood_of_samples_leaves_the_loop_its_turn_and_is_told(
    agent_of: Callable[..., Agent], house: House
) -> None:
    class Flood(Scripted):
        async def samples(self) -> AsyncIterator[Sample]:
            for number in range(50_000):
                yield Sample(values={"door": bool(number % 2)})
            await asyncio.Event().wait()

    agent = agent_of(Flood(), PROFILE.replace("every = 0.02", "every = 60"))
    worst, last = 0.0, time.monotonic()
    async with agent:
        while not problems(agent) or len(house.values("door")) < BURST:
            await asyncio.sleep(0)
            now = time.monotonic()
            worst, last = max(worst, now - last), now
    assert "door: changes more than 10 times a second; some are left out" in problems_of(house)
    assert len(house.values("door")) < 2 * BURST
    assert worst < 1.0


def problems_of(house: House) -> set[str]:
    return {problem for status in house.statuses for problem in status.problems}


def gate(rhythm: Rhythm, *, said: bool = True) -> Gate:
    return Gate({"x": rhythm}, said=frozenset({"x"} if said else ()), clock=lambda: 1000.0)


def test_changes_are_due_at_once_and_the_same_value_after_its_time() -> None:
    due = gate(Rhythm(every=60, on_change=True, at_least=30))
    assert due.is_due("x", value=True, at=1000)
    due.pushed("x", value=True, at=1000)
    assert not due.is_due("x", value=True, at=1020)
    assert due.is_due("x", value=False, at=1000.1)
    assert due.is_due("x", value=True, at=1030)


def test_numbers_keep_their_interval_and_a_clock_set_back_holds_none_up() -> None:
    due = gate(Rhythm(every=30))
    due.pushed("x", 1.0, 1000)
    assert not due.is_due("x", 2.0, 1020)
    assert due.is_due("x", 2.0, 1029)
    assert due.is_due("x", 2.0, 500)
    unsaid = gate(Rhythm(every=30), said=False)
    unsaid.pushed("x", 1.0, 1000)
    assert not unsaid.is_due("x", 2.0, 1000.5)
    assert unsaid.is_due("x", 2.0, 1001)
    assert unsaid.is_due("x", "an event", 1000)


def test_what_came_by_itself_is_not_published_again_by_the_next_reading() -> None:
    due = gate(Rhythm(every=5, on_change=True, at_least=60))
    due.pushed("x", value=True, at=999)
    assert due.fresh({"x": True, "y": 1}) == {"y": 1}
    assert due.fresh({"x": False}) == {"x": False}
    assert not due.is_due("x", value=False, at=1000)


def test_a_channel_has_a_burst_and_then_so_many_a_second() -> None:
    due = gate(Rhythm(on_change=True))
    assert [due.is_flood("x", 1000.0) for _ in range(BURST + 1)] == [False] * BURST + [True]
    later = [due.is_flood("x", 1001.0) for _ in range(20)]
    assert later.count(False) == A_SECOND
