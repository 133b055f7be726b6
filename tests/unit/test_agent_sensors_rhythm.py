"""Which samples are published: on change, by more than a delta, at least so often."""

import asyncio
import time

import pytest

from iotxmpp.about import Channel
from iotxmpp.agent.sensors import Rhythm, Sensor
from iotxmpp.readings import Value
from tests.unit.agent_house import until
from tests.unit.sensor_bench import Bench, one_float, sensor


async def _published(values: list[Value], rhythm: Rhythm, annotation: type) -> list[Value]:
    bench = Bench()
    left = iter(values)
    done = asyncio.Event()

    async def reading() -> object:
        try:
            return next(left)
        except StopIteration:
            done.set()
            return None

    reading.__annotations__["return"] = annotation
    async with bench.run(sensor(reading, "a", rhythm=rhythm)):
        await done.wait()
    return bench.values("a")


async def test_on_change_publishes_the_first_and_what_differs_by_more_than_delta() -> None:
    rhythm = Rhythm(every=0.001, on_change=True, delta=0.5)
    # The distance counts from what was published last, so that a slow drift is seen.
    assert await _published([20.0, 20.25, 20.5, 20.75, 20.75, 20.0], rhythm, float) == [20.0, 20.75, 20.0]


@pytest.mark.parametrize(
    ("values", "published", "annotation"),
    [
        ([1.0, 1.0, 1.5, 1.5, 1.0], [1.0, 1.5, 1.0], float),
        ([True, True, False, False], [True, False], bool),
        (["a", "a", "b"], ["a", "b"], str),
    ],
)
async def test_on_change_without_delta_publishes_what_differs(
    values: list[Value], published: list[Value], annotation: type
) -> None:
    assert await _published(values, Rhythm(every=0.001, on_change=True), annotation) == published


async def test_an_unchanged_value_is_published_at_least_so_often() -> None:
    bench = Bench()
    started = time.monotonic()
    rhythm = Rhythm(every=0.01, on_change=True, at_least=0.1)
    async with bench.run(sensor(one_float, "a", rhythm=rhythm)):
        await until(lambda: len(bench.samples) >= 3)
    assert 0.15 < time.monotonic() - started < 1


async def test_channels_of_one_sensor_have_their_own_rhythms() -> None:
    bench = Bench()
    channels = {"fast": Channel(type="int"), "slow": Channel(type="int")}
    rhythms = {"fast": Rhythm(every=0.02), "slow": Rhythm(every=0.1)}
    both = Sensor(label="both", function=lambda: {"fast": 1, "slow": 2}, channels=channels, rhythms=rhythms)
    async with bench.run(both):
        await until(lambda: len(bench.values("slow")) >= 3)
    assert len(bench.values("fast")) > 3
