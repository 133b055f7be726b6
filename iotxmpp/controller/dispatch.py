"""Gives readings and presences to the user's handlers.

A slow handler holds up neither the others nor the intake, until its queue is full: then the intake waits,
because nothing is dropped.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from iotxmpp.controller.declared import ChangeHandler, ReadingHandler
from iotxmpp.controller.device import Device
from iotxmpp.controller.handlers import name_of
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.rejection import Origin, Rejection
from iotxmpp.controller.worker import Arguments, Worker
from iotxmpp.link import Presence
from iotxmpp.liveness import Change
from iotxmpp.readings import Reading
from iotxmpp.twin import Twin
from iotxmpp.validation import explain

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that handlers have at the end to finish what waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sample:
    """Readings for one call, and where they came from."""

    device: Device
    origin: Origin
    part: tuple[Reading, ...]


class Dispatcher:
    """All handlers of a running controller.

    Args:
        readings: Handlers of readings.
        presences: Handlers of presence.
        livenesses: Handlers of changes of liveness.
        metrics: Counts those that raise.
        reject: Takes the rejection of a sample that a handler's model refuses.
        twins: Handlers of changes of twins.
    """

    def __init__(  # noqa: PLR0913  # one each of what there are handlers of
        self,
        readings: Sequence[ReadingHandler],
        presences: Sequence[ChangeHandler[Presence]],
        livenesses: Sequence[ChangeHandler[Change]],
        metrics: Metrics,
        reject: Callable[[Rejection], None],
        *,
        twins: Sequence[ChangeHandler[Twin]] = (),
    ) -> None:
        self._reject = reject
        count = metrics.handler_error
        self._readings = [
            (each, Worker(each.function, partial(self._of_sample, each), count)) for each in readings
        ]
        self._presences = [Worker(each.function, each.arguments, count) for each in presences]
        self._livenesses = [Worker(each.function, each.arguments, count) for each in livenesses]
        self._twins = [Worker(each.function, each.arguments, count) for each in twins]

    async def readings(self, device: Device, origin: Origin, readings: Sequence[Reading]) -> None:
        """Gives a pack's accepted readings to the handlers that are for them."""
        for handler, worker in self._readings:
            chosen = handler.chosen(readings)
            for part in handler.want.parts(chosen):
                await worker.put(_Sample(device=device, origin=origin, part=part))

    async def presence(self, device: Device, presence: Presence) -> None:
        """Tells a change of presence."""
        for worker in self._presences:
            await worker.put((device, presence))

    async def liveness(self, device: Device, change: Change) -> None:
        """Tells a change of liveness."""
        for worker in self._livenesses:
            await worker.put((device, change))

    async def twin(self, device: Device, twin: Twin) -> None:
        """Tells a change of a twin."""
        for worker in self._twins:
            await worker.put((device, twin))

    async def close(self, grace: float = GRACE) -> None:
        """Lets the handlers finish what waits, for some seconds, and ends them."""
        readings = [worker for _, worker in self._readings]
        workers = (*readings, *self._presences, *self._livenesses, *self._twins)
        finishing = [each.finish() for each in workers]
        closing = [each.close() for each in workers]
        try:
            async with asyncio.timeout(grace):
                await asyncio.gather(*finishing)
        except TimeoutError:
            log.warning("handlers did not finish within %s s", grace)
        finally:
            await asyncio.gather(*closing)

    def _of_sample(self, handler: ReadingHandler, sample: _Sample) -> Arguments | None:
        try:
            argument = handler.want.argument(sample.part)
        except ValidationError as error:
            text = explain(error, f"handler {name_of(handler.function)}: {error.title}")
            values = {reading.channel: reading.value for reading in sample.part}
            self._reject(sample.origin.rejection("model", text, json.dumps(values)))
            return None
        return (argument,), {handler.device: sample.device} if handler.device else {}
