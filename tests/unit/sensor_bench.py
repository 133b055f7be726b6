"""Sensors on a bench: declared, sampled, and what they publish."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from iotxmpp.agent.presence import Problems
from iotxmpp.agent.sampling import Sampler
from iotxmpp.agent.sensors import Bounds, Channels, Rhythm, Sensor, make_sensor
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value

OFTEN = Rhythm(every=0.005)


def sensor(  # noqa: PLR0913  # as make_sensor
    function: Callable[[], object],
    channels: Channels,
    *,
    unit: str | None = None,
    bounds: Bounds | Mapping[str, Bounds] | None = None,
    description: str = "",
    rhythm: Rhythm = OFTEN,
) -> Sensor:
    return make_sensor(
        function, channels, unit=unit, bounds=bounds, description=description, rhythm=rhythm, known={}
    )


class Bench:
    """Runs samplers and keeps what they give."""

    def __init__(self) -> None:
        self.samples: list[Mapping[str, Value]] = []
        self.problems = Problems()
        self.refuse = ""

    def take(self, values: Mapping[str, Value]) -> None:
        if self.refuse:
            raise InvalidError(self.refuse)
        self.samples.append(values)

    def values(self, channel: str) -> list[Value]:
        return [sample[channel] for sample in self.samples if channel in sample]

    @asynccontextmanager
    async def run(self, *sensors: Sensor, hanging_after: float = 10) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(
                Sampler(each, take=self.take, problems=self.problems, hanging_after=hanging_after).run()
            )
            for each in sensors
        ]
        yield
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError)


def one_float() -> float:
    return 1.0
