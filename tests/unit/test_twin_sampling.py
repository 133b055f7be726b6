"""A sensor's interval is changed while it samples."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from iotxmpp.about import Channel
from iotxmpp.agent.presence import Problems
from iotxmpp.agent.sampling import Sampler
from iotxmpp.agent.sensors import Rhythm, Sensor
from tests.unit.agent_house import until


class Sampled:
    """A sensor of two channels, the second of which is published more rarely, and its samples."""

    def __init__(self, every: float, rarely: float) -> None:
        self.samples: list[Mapping[str, object]] = []
        kinds = {"a": Channel(type="float"), "b": Channel(type="float")}
        sensor = Sensor(
            label="both",
            function=self.read,
            channels=kinds,
            rhythms={"a": Rhythm(every=every), "b": Rhythm(every=rarely)},
        )
        self.sampler = Sampler(sensor, take=self.samples.append, problems=Problems())

    async def read(self) -> dict[str, float]:
        return {"a": 1.0, "b": 2.0}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.sampler.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_shorter_interval_counts_at_once_and_for_every_channel() -> None:
    sampled = Sampled(3600.0, 7200.0)
    async with sampled.running():
        await until(lambda: len(sampled.samples) == 1)
        sampled.sampler.set_every(0.01)
        await until(lambda: len(sampled.samples) > 4)
    assert all(set(sample) == {"a", "b"} for sample in sampled.samples)


async def test_a_longer_interval_counts_at_once() -> None:
    sampled = Sampled(0.01, 0.01)
    async with sampled.running():
        await until(lambda: len(sampled.samples) > 2)
        sampled.sampler.set_every(3600.0)
        await asyncio.sleep(0.05)
        count = len(sampled.samples)
        await asyncio.sleep(0.1)
        assert len(sampled.samples) == count


@pytest.mark.parametrize("other", [3600.0, 0.05])
async def test_none_brings_back_what_was_declared(other: float) -> None:
    sampled = Sampled(0.02, 3600.0)
    async with sampled.running():
        sampled.sampler.set_every(other)
        await until(lambda: len(sampled.samples) >= 1)
        sampled.sampler.set_every(None)
        sampled.samples.clear()
        await until(lambda: len(sampled.samples) > 3)
    assert all(set(sample) == {"a"} for sample in sampled.samples[1:])
