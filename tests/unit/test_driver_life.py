"""A driver's life in an agent: opened, failing, reopened after a while, and what it gives by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import pytest

from iotxmpp import Agent
from iotxmpp.agent import opening
from iotxmpp.agent.calibration import Calibration
from iotxmpp.agent.drivers import Driver, Pushing, Sample
from iotxmpp.agent.feeding import A_SECOND, BURST, Gate
from iotxmpp.agent.opening import OpenedDriver, hardware_backoff
from iotxmpp.agent.profiled import equip
from iotxmpp.agent.righting import Totals
from iotxmpp.agent.sensors import Rhythm
from iotxmpp.backoff import Backoff
from iotxmpp.errors import CommandFailedError, ConfigError
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.agent_house import House, open_house, until

PROFILE = """
schema = 1
id = "station"
version = "1.0.0"
driver = { kind = "scripted" }
[readings.temperature]
type = "float"
unit = "Cel"
range = [-40, 85]
every = 0.02
[readings.rain]
type = "int"
counter = true
every = 0.02
[readings.door]
type = "bool"
on_change = true
every = 0.02
[readings.said]
type = "str"
[commands.ring]
"""


def quick() -> Backoff:
    return Backoff(first=0.01, longest=0.02, choose=lambda _low, high: high)


class Scripted:
    """A driver that does what a test says; `opening`, `reading` may be errors to raise."""

    def __init__(self) -> None:
        self.opening: BaseException | None = None
        self.reading: BaseException | None = None
        self.values: dict[str, Value | OSError] = {}
        self.hangs = False
        self.opened = self.closed = self.cancelled = self.tries = 0

    async def __aenter__(self) -> Self:
        self.tries += 1
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.opening is not None:
            raise self.opening
        self.opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    async def read(self) -> Mapping[str, Value | OSError]:
        if self.reading is not None:
            raise self.reading
        return dict(self.values)

    async def command(self, name: str, arguments: Mapping[str, Value]) -> str:
        if self.reading is not None:
            raise self.reading
        return f"{name} {len(arguments)}"


class Pushed(Scripted):
    """One that also gives samples; an exception among them is raised, None ends them."""

    def __init__(self) -> None:
        super().__init__()
        self.news: asyncio.Queue[Sample | BaseException | None] = asyncio.Queue()
        self.streams = self.ended = 0

    async def samples(self) -> AsyncIterator[Sample]:
        self.streams += 1
        try:
            while (news := await self.news.get()) is not None:
                if isinstance(news, BaseException):
                    raise news
                yield news
        finally:
            self.ended += 1

    def push(self, **values: Value) -> None:
        self.news.put_nowait(Sample(values=values))


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


@pytest.fixture
def agent_of(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Agent]:
    """Makes an agent that a driver serves, with short waits."""
    monkeypatch.setattr(opening, "hardware_backoff", quick)

    def make(driver: Driver, text: str = PROFILE, **more: object) -> Agent:
        agent = house.agent()
        equip(agent, parse_profile(text, "station.toml"), lambda: driver, **more)  # type: ignore[arg-type]  # a test's own
        return agent

    return make


def problems(agent: Agent) -> tuple[str, ...]:
    return agent.status.problems


# Opening.


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


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), SystemExit(3), ValueError("half a message")])
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


# In an agent.


@pytest.mark.parametrize(
    "fault", [OSError(5, "pulled out"), ValueError("half"), SystemExit(1), asyncio.CancelledError()]
)
async def test_whatever_read_raises_is_a_problem_and_passes(
    agent_of: Callable[..., Agent], house: House, fault: BaseException
) -> None:
    driver = Scripted()
    driver.values = {"temperature": 21.5}
    driver.reading = fault
    agent = agent_of(driver)
    async with agent:
        await until(lambda: bool(problems(agent)))
        assert problems(agent)[0].startswith("station: ")
        driver.reading = None
        await until(lambda: not problems(agent) and bool(house.values("temperature")))
    assert driver.closed == driver.opened


async def test_a_command_to_absent_hardware_fails_and_the_agent_lives(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Scripted()
    driver.opening = FileNotFoundError(2, "no such device")
    async with agent_of(driver):
        with pytest.raises(CommandFailedError, match="no such device"):
            await house.call("ring")
        driver.opening = None
        await until(lambda: driver.opened == 1)
        assert await house.call("ring") == "ring 0"


async def test_a_channel_that_fails_alone_is_its_own_problem(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Scripted()
    driver.values = {"temperature": OSError("28-1: a damaged answer"), "door": True}
    agent = agent_of(driver)
    async with agent:
        await until(lambda: bool(house.values("door")))
        assert problems(agent) == ("28-1: a damaged answer",)
        driver.values = {"temperature": 20.0}
        await until(lambda: bool(house.values("temperature")))
        assert problems(agent) == ()
    assert driver.opened == 1


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


@pytest.mark.parametrize(
    ("news", "words"),
    [
        (OSError(5, "unplugged"), "station: OSError: [Errno 5] unplugged"),
        (None, "station: ConnectionError: the driver gives no more samples"),
        (ValueError("confused"), "station: ValueError: confused"),
        (SystemExit(1), "station: RuntimeError: SystemExit: 1"),
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


async def test_a_failed_read_ends_the_samples_before_the_driver_is_closed(
    agent_of: Callable[..., Agent],
) -> None:
    order = list[str]()

    class Watched(Pushed):
        async def samples(self) -> AsyncIterator[Sample]:
            try:
                async for sample in super().samples():
                    yield sample
            finally:
                order.append("samples")

        async def __aexit__(self, *_: object) -> None:
            order.append("closed")

    driver = Watched()
    async with agent_of(driver):
        await until(lambda: driver.streams == 1)
        driver.reading = OSError("pulled out")
        await until(lambda: len(order) == 2)
        driver.reading = None
        await until(lambda: driver.streams >= 2)
    assert order[:2] == ["samples", "closed"]


async def test_an_open_that_hangs_holds_neither_the_agents_start_nor_its_end(
    agent_of: Callable[..., Agent],
) -> None:
    driver = Pushed()
    driver.hangs = True
    async with asyncio.timeout(5):
        async with agent_of(driver):
            await until(lambda: driver.tries == 1)
    assert driver.cancelled == 1


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


# What is due.


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


# Putting right.


def test_a_counter_goes_on_over_restarts() -> None:
    totals = Totals()
    assert [totals.total("rain", value) for value in (5, 7, 7, 2, 3, 0, 1)] == [5, 7, 7, 9, 10, 10, 11]
    assert totals.total("other", 4) == 4
    assert totals.total("rain", -1) == -1
    assert totals.total("rain", "wet") == "wet"
    assert totals.total("rain", 2) == 12


async def test_calibration_goes_before_the_range_and_names_come_last(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    driver.values = {"temperature": 180.0, "rain": 3}
    agent = agent_of(
        driver,
        rename={"temperature": "air"},
        calibration={"temperature": Calibration(scale=0.1, offset=-1.0), "rain": Calibration(scale=2.0)},
    )
    async with agent:
        await until(lambda: bool(house.values("air")) and bool(house.values("rain")))
        driver.values = {"temperature": 180.0, "rain": 1}
        await until(lambda: house.values("rain")[-1] == 8)
        driver.values = {}
        driver.push(temperature=200.0)
        await until(lambda: house.values("air")[-1] == 19.0)
    assert set(house.values("air")) == {17.0, 19.0}
    assert house.values("rain")[0] == 6
    assert house.values("temperature") == []


def test_a_wrong_calibration_is_refused(agent_of: Callable[..., Agent]) -> None:
    with pytest.raises(ConfigError, match=r"calibration\.temprature"):
        agent_of(Scripted(), calibration={"temprature": Calibration()})


async def test_what_comes_while_the_agent_ends_makes_no_fault(
    agent_of: Callable[..., Agent], caplog: pytest.LogCaptureFixture
) -> None:
    class Chatty(Scripted):
        async def samples(self) -> AsyncIterator[Sample]:
            while True:
                await asyncio.sleep(0)
                yield Sample(values={"said": "still here"})

    driver = Chatty()
    agent = agent_of(driver)
    async with agent:
        await until(lambda: driver.opened == 1)
        await asyncio.sleep(0.05)
    assert driver.closed == driver.opened == 1
    assert agent.outlet() is None
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
