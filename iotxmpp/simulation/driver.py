"""The driver of one device among many: the simulated one, with differences of its own and with faults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from iotxmpp.agent.drivers.faults import Fault
from iotxmpp.agent.drivers.simulated import SimulatedDriver
from iotxmpp.agent.drivers.unopened import Unopened
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value
from iotxmpp.simulation.variety import air_of, shift, varied


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How the time of the signals runs.

    Attributes:
        since: What time it is for the signals at the start, in seconds since 1970.
        speed: How many times faster than the clock it runs.
    """

    since: float
    speed: float = 1.0

    def at(self, elapsed: float) -> float:
        """The time for the signals so many seconds after the start."""
        return self.since + elapsed * self.speed


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a device did so far.

    Attributes:
        values: Values that its sensors gave.
        commands: Commands that it carried out.
    """

    values: int = 0
    commands: int = 0


class FleetDriver(Unopened):
    """Simulates one device; what it gives depends on the seed, the device's id and the time alone.

    What commands set is added to that, and is kept as long as the driver is there.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        name: str,
        course: Course,
        elapsed: Callable[[], float],
        fault: Fault | None = None,
    ) -> None:
        """Makes it.

        Args:
            profile: The kind of device.
            name: Seeds its signals.
            course: How the time of the signals runs.
            elapsed: Gives the seconds since the start.
            fault: What is wrong with it at times.
        """
        own = varied(profile, name)
        self._kinds = own.reading_kinds()
        self._air = air_of(own)
        self._shift = shift(name)
        self._course = course
        self._elapsed = elapsed
        self._fault = fault
        self._time = 0.0
        self._inner = SimulatedDriver(profile=own, settings={"seed": name}, clock=lambda: self._time)
        self._stuck: tuple[float, dict[str, Value]] | None = None
        self.tally = Tally()

    async def read(self) -> dict[str, Value]:
        """What the sensors give now."""
        values = await self.sensed(self._elapsed())
        self.tally.values += len(values)
        return values

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Carries out a command; it answers and raises as the simulated driver does."""
        self._set_time(self._elapsed())
        answer = await self._inner.command(name, arguments)
        self.tally.commands += 1
        return answer

    async def sensed(self, elapsed: float) -> dict[str, Value]:
        """What the sensors give so many seconds after the start, faults included."""
        fault = self._fault
        since = None if fault is None else fault.on_since(elapsed)
        if fault is None or since is None:
            return await self._right(elapsed)
        if fault.kind == "stuck":
            if self._stuck is None or self._stuck[0] != since:
                self._stuck = (since, await self._right(since))
            return dict(self._stuck[1])
        given = {
            name: fault.value(value, name, self._kinds[name], elapsed)
            for name, value in (await self._right(elapsed)).items()
        }
        return {name: value for name, value in given.items() if value is not None}

    async def _right(self, elapsed: float) -> dict[str, Value]:
        self._set_time(elapsed)
        values = await self._inner.read()
        return values if self._air is None else self._air.felt(values)

    def _set_time(self, elapsed: float) -> None:
        self._time = self._course.at(elapsed) + self._shift
