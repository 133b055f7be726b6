"""Sampling sensors, and what becomes of bad values."""

import asyncio
import math
import threading
import time
from typing import Any

import pytest

from iotxmpp.about import Channel
from iotxmpp.agent.sensors import Rhythm
from iotxmpp.serving.offloop import call
from tests.unit.agent_house import until
from tests.unit.sensor_bench import Bench, one_float, sensor


async def test_samples_come_at_the_interval() -> None:
    bench = Bench()
    times = []

    async def ticks() -> int:
        times.append(time.monotonic())
        return len(times)

    async with bench.run(sensor(ticks, "a", rhythm=Rhythm(every=0.05))):
        await until(lambda: len(bench.samples) >= 4)
    assert bench.values("a")[:4] == [1, 2, 3, 4]
    assert 0.12 < times[3] - times[0] < 1


async def test_missed_intervals_are_skipped() -> None:
    bench = Bench()
    times = []

    async def slow() -> int:
        times.append(time.monotonic())
        if len(times) == 1:
            await asyncio.sleep(0.13)
        return len(times)

    async with bench.run(sensor(slow, "a", rhythm=Rhythm(every=0.05))):
        await until(lambda: len(bench.samples) >= 3)
    assert times[1] - times[0] >= 0.14


async def test_a_sample_that_comes_late_costs_none_after_it() -> None:
    bench = Bench()
    times: list[float] = []

    async def late_and_quick() -> int:
        times.append(time.monotonic())
        await asyncio.sleep(0.08 if len(times) % 2 else 0)
        return len(times)

    async with bench.run(sensor(late_and_quick, "a", rhythm=Rhythm(every=0.1))):
        await until(lambda: len(bench.samples) >= 4)
    assert bench.values("a")[:4] == [1, 2, 3, 4]


async def test_a_change_soon_after_a_late_sample_is_published() -> None:
    bench = Bench()
    calls: list[int] = []

    async def late_at_first() -> bool:
        calls.append(1)
        await asyncio.sleep(0.08 if len(calls) == 1 else 0)
        return len(calls) > 1

    rhythm = Rhythm(every=0.1, on_change=True)
    async with bench.run(sensor(late_at_first, "a", rhythm=rhythm)):
        await until(lambda: len(calls) >= 3)
    assert bench.values("a") == [False, True]


async def test_a_plain_function_does_not_block_the_loop() -> None:
    bench = Bench()
    release = threading.Event()
    threads = []

    def blocking() -> int:
        threads.append(threading.current_thread())
        release.wait(3)
        return 1

    async with bench.run(sensor(blocking, "a"), sensor(one_float, "b")):
        await until(lambda: len(bench.values("b")) >= 3)
        assert bench.values("a") == []
        assert len(threads) == 1
        release.set()
        await until(lambda: bool(bench.values("a")))
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon


async def test_a_hanging_sensor_is_a_problem_until_it_returns() -> None:
    bench = Bench()
    release = asyncio.Event()

    async def hanging() -> int:
        await release.wait()
        return 1

    async with bench.run(sensor(hanging, "a"), hanging_after=0.02):
        await until(lambda: bench.problems.texts() == ("a: has not returned after 0.02 s",))
        release.set()
        await until(lambda: not bench.problems.texts())
    assert bench.values("a")


async def test_a_raising_sensor_is_a_problem_is_tried_again_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    calls = []

    def broken() -> float:
        calls.append(1)
        if len(calls) < 4:
            raise OSError(5, "no sensor")
        return 1.0

    async with bench.run(sensor(broken, "a")):
        await until(lambda: bool(bench.problems.texts()))
        assert bench.problems.texts() == ("a: OSError: [Errno 5] no sensor",)
        await until(lambda: not bench.problems.texts())
    assert bench.values("a")[0] == 1.0
    assert caplog.text.count("a: OSError") == 1


async def test_a_sensor_that_is_cancelled_inside_is_a_problem() -> None:
    bench = Bench()

    async def cancelled() -> float:
        raise asyncio.CancelledError

    async with bench.run(sensor(cancelled, "a")):
        await until(lambda: bool(bench.problems.texts()))
    assert "was cancelled" in bench.problems.texts()[0]


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(1), KeyboardInterrupt()])
async def test_what_no_future_can_hold_is_an_error_all_the_same(error: BaseException) -> None:
    def raising() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__) as caught:
        await call(raising)
    assert caught.value.__cause__ is error


async def test_an_awaitable_of_a_plain_callable_is_awaited() -> None:
    async def later() -> int:
        return 5

    assert await call(lambda: later()) == 5  # noqa: PLW0108  # the callable itself is a plain one


async def test_none_is_no_reading_and_no_problem() -> None:
    bench = Bench()
    results = iter([None, None, 3])

    def sometimes() -> int | None:
        return next(results, None)

    async with bench.run(sensor(sometimes, "a")):
        await until(lambda: bool(bench.samples))
    assert bench.values("a") == [3]
    assert bench.problems.texts() == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "a: nan is not a finite number"),
        (-math.inf, "not a finite number"),
        (41.5, "a: 41.5 is out of its range, 0 to 40"),
        (-1, "a: -1 is out of its range, 0 to 40"),
        ("12", "a: '12' is str, expected float"),
        (True, "a: True is bool, expected float"),
        ([1], "a: list is no reading"),
        (10**400, "too large"),
    ],
)
async def test_a_bad_value_is_a_problem_and_not_published(value: Any, text: str) -> None:  # noqa: ANN401  # what a driver may return
    bench = Bench()
    results: list[float] = [value]

    def bad() -> float:
        return results[0]

    async with bench.run(sensor(bad, "a", bounds=(0, 40))):
        await until(lambda: bool(bench.problems.texts()))
        assert text in bench.problems.texts()[0]
        assert bench.samples == []
        results[0] = 20
        await until(lambda: not bench.problems.texts())
    assert bench.values("a")[0] == 20.0
    assert type(bench.values("a")[0]) is float


@pytest.mark.parametrize(
    ("channel", "value", "text"),
    [
        (Channel(type="int"), 2**63, "64 bits"),
        (Channel(type="int"), 1.0, "is float, expected int"),
        (Channel(type="bool"), 1, "is int, expected bool"),
        (Channel(type="str"), "a\x00", "U+0000"),
        (Channel(type="str"), "\ud800", "U+D800"),
        (Channel(type="str"), "a" * 20_000, "20000 characters"),
    ],
)
async def test_values_that_cannot_be_sent_are_problems(channel: Channel, value: object, text: str) -> None:
    bench = Bench()
    async with bench.run(sensor(lambda: {"a": value}, {"a": channel})):
        await until(lambda: bool(bench.problems.texts()))
    assert text in bench.problems.texts()[0]
    assert bench.samples == []


async def test_one_bad_value_of_several_does_not_hold_back_the_others() -> None:
    bench = Bench()

    def climate() -> dict[str, float]:
        return {"temperature": 20.0, "humidity": 200.0, "pressure": 1.0}

    several = sensor(climate, {"temperature": "Cel", "humidity": "%RH"}, bounds={"humidity": (0, 100)})
    async with bench.run(several):
        await until(lambda: bool(bench.samples))
    assert bench.samples[0] == {"temperature": 20.0}
    assert set(bench.problems.texts()) == {
        "climate: returned 'pressure', which is none of its channels",
        "humidity: 200 is out of its range, 0 to 100",
    }


async def test_a_tuple_is_taken_in_order_and_none_left_out() -> None:
    bench = Bench()

    def pair() -> tuple[float, int]:
        return None, 5  # type: ignore[return-value]  # one value is missing

    async with bench.run(sensor(pair, {"a": None, "b": None})):
        await until(lambda: bool(bench.samples))
    assert bench.samples[0] == {"b": 5}


@pytest.mark.parametrize("result", [5.0, (1.0,), [1.0, 2.0]])
async def test_a_result_of_another_shape_is_a_problem(result: object) -> None:
    bench = Bench()

    def pair() -> tuple[float, float]:
        return result  # type: ignore[return-value]  # its shape is wrong

    async with bench.run(sensor(pair, {"a": None, "b": None})):
        await until(lambda: bool(bench.problems.texts()))
    assert "expected a dict with a, b" in bench.problems.texts()[0]


async def test_a_sample_that_cannot_be_kept_is_a_problem() -> None:
    bench = Bench()
    bench.refuse = "the clock is not set"
    async with bench.run(sensor(one_float, "a")):
        await until(lambda: bench.problems.texts() == ("the clock is not set",))
        bench.refuse = ""
        await until(lambda: not bench.problems.texts())
    assert bench.samples
