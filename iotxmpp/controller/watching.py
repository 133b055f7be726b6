"""Where readings go in a controller that only watches: to its handlers, once each, and nowhere else."""

from collections import OrderedDict

from iotxmpp.controller.jobs import Job
from iotxmpp.controller.store import Record
from iotxmpp.controller.store.settling import settle
from iotxmpp.intervals import Intervals
from iotxmpp.readings import Reading

MOST_EPOCHS = 10_000
"""Epochs whose numbers are remembered."""


class Watching:
    """A sink that keeps nothing but the numbers that it has seen."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], Intervals] = OrderedDict()

    async def put(self, job: Job) -> None:
        """Takes a job; waits while a handler's queue is full."""
        name = job.arrival.device, job.arrival.epoch
        numbers = self._seen.setdefault(name, Intervals())
        self._seen.move_to_end(name)
        if len(self._seen) > MOST_EPOCHS:
            self._seen.popitem(last=False)
        taken, _ = settle(numbers, job.arrival)
        if taken.postponed:  # nobody will ask for what is missing: what came long ago may come twice
            numbers.replace(Intervals())
            taken, _ = settle(numbers, job.arrival)
        job.settled(taken)
        await job.deliver(taken)

    def keep(self, record: Record) -> None:
        """Keeps nothing."""

    async def upto(self, device: str) -> dict[str, int]:
        """Nothing is settled here."""
        del device
        return {}

    async def latest(self, device: str) -> list[Reading]:
        """Nothing is kept here."""
        del device
        return []

    async def drain(self) -> None:
        """Nothing waits here."""
