"""Runs a sensor: samples it, checks what it gives, and passes on what is due."""

import asyncio
import math
from collections.abc import Callable, Mapping

from iotxmpp.about import Channel
from iotxmpp.agent.channels import check_reading, shown
from iotxmpp.agent.presence import Problems
from iotxmpp.agent.sensors import Rhythm, Sensor
from iotxmpp.errors import InvalidError, OutboxFullError
from iotxmpp.readings import Value
from iotxmpp.serving.offloop import call, said, text_of

HANGING_AFTER = 10.0
"""Seconds after which a sensor that has not returned is reported as a problem."""

Take = Callable[[Mapping[str, Value]], None]
"""Takes the values of one sample, by channel; raises `InvalidError` or `OutboxFullError` if it cannot."""


class Sampler:
    """Samples one sensor at its interval, one sample at a time; missed intervals are skipped.

    A sensor that raises, hangs, or gives a bad value is reported as a problem until it gives a good one, and
    sampled again at the next interval.
    """

    def __init__(
        self, sensor: Sensor, *, take: Take, problems: Problems, hanging_after: float = HANGING_AFTER
    ) -> None:
        self._sensor = sensor
        self._take = take
        self._problems = problems
        self._hanging_after = hanging_after
        self._declared = min(rhythm.every for rhythm in sensor.rhythms.values())
        self._every = self._declared
        self._set: float | None = None
        self._changed = asyncio.Event()
        self._published: dict[str, tuple[Value, float]] = {}
        self._key = f"sensor {sensor.label}"
        self._asked: float | None = None

    def set_every(self, seconds: float | None) -> None:
        """Samples, and publishes what needs no change, each so many seconds; None for what was declared."""
        self._set = seconds
        self._every = self._declared if seconds is None else seconds
        self._changed.set()

    def silent(self) -> float:
        """Seconds for which its function has not returned; 0 while none is asked."""
        return 0.0 if self._asked is None else asyncio.get_running_loop().time() - self._asked

    async def run(self) -> None:
        """Samples until it is cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._sample(due)
            late, last = loop.time() - due, due
            due += self._every * max(1, math.ceil(late / self._every))
            while not await self._is_reached(due):
                due = max(loop.time(), last + self._every)

    async def _is_reached(self, due: float) -> bool:
        """Waits until then; false as soon as the interval is another."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(due):
                await self._changed.wait()
        except TimeoutError:
            return True
        return False

    async def _sample(self, due: float) -> None:
        try:
            good = self._good(self._sensor.values(await self._read()))
        except Exception as error:  # noqa: BLE001  # whatever a user's function or a driver raises
            tell(self._problems, self._key, self._sensor.label, error)
        else:
            self._pass_on(good, due)

    async def _read(self) -> object:
        reading = asyncio.ensure_future(call(self._sensor.function))
        self._asked = asyncio.get_running_loop().time()
        try:
            done, _ = await asyncio.wait({reading}, timeout=self._hanging_after)
            if not done:
                self._problems.report(
                    self._key, f"{self._sensor.label}: has not returned after {self._hanging_after:g} s"
                )
                await asyncio.wait({reading})
        finally:
            self._asked = None
            reading.cancel()
        if reading.cancelled():
            raise RuntimeError("the sensor's function was cancelled")
        return reading.result()

    def _good(self, values: Mapping[str, object]) -> dict[str, Value]:
        self._check_names(values)
        return good_values(values, self._sensor.channels, self._problems)

    def _check_names(self, values: Mapping[str, object]) -> None:
        unknown = [name for name in values if name not in self._sensor.channels]
        key = f"names of {self._sensor.label}"
        if unknown:
            self._problems.report(
                key, f"{self._sensor.label}: returned {shown(unknown[0])}, which is none of its channels"
            )
        else:
            self._problems.clear(key)

    def _pass_on(self, values: Mapping[str, Value], at: float) -> None:
        wanted = {name: value for name, value in values.items() if self._is_due(name, value, at)}
        try:
            if wanted:
                self._take(wanted)
        except (InvalidError, OutboxFullError) as error:
            self._problems.report(self._key, str(error))
            return
        self._problems.clear(self._key)
        self._published.update({name: (value, at) for name, value in wanted.items()})

    def _is_due(self, name: str, value: Value, at: float) -> bool:
        """Whether to publish it, counted by when samples were due: that one came late costs none after it."""
        if name not in self._published:
            return True
        last, before = self._published[name]
        rhythm = self._sensor.rhythms[name]
        # An interval that is no multiple of the sampler's ends at the sample that is nearest.
        waited = at - before + self._every / 2
        if rhythm.on_change:
            return waited >= rhythm.at_least or _changed(rhythm, last, value)
        return waited >= (rhythm.every if self._set is None else self._set)


def good_values(
    values: Mapping[str, object], channels: Mapping[str, Channel], problems: Problems
) -> dict[str, Value]:
    """The values that their channels take; what belongs to no channel is left out.

    Args:
        values: The values by channel.
        channels: The channels.
        problems: Takes what is wrong with a channel's value, until it has a good one.
    """
    good = {}
    for name, value in values.items():
        if name not in channels:
            continue
        try:
            good[name] = check_reading(name, channels[name], value)
        except Exception as error:  # noqa: BLE001  # a foreign value's own code may raise anything
            tell(problems, f"channel {name}", name, error)
        else:
            problems.clear(f"channel {name}")
    return good


def tell(problems: Problems, key: str, where: str, error: Exception) -> None:
    """Reports what a user's function, a driver or a value of theirs raised, even what cannot tell its text.

    Args:
        problems: Takes it.
        key: The thing that does not work.
        where: Its name, unless the error is one of ours, which has it.
        error: What was raised.
    """
    if isinstance(error, InvalidError):
        problems.report(key, said(error) or f"{where}: {text_of(error)}")
    else:
        problems.report(key, f"{where}: {text_of(error)}", cause=error)


def _changed(rhythm: Rhythm, last: Value, value: Value) -> bool:
    if isinstance(value, bool | str) or isinstance(last, bool | str):
        return value != last
    return abs(value - last) > rhythm.delta
