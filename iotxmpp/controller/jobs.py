"""What a device sent, on its way through the store to the handlers."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from iotxmpp import crashpoints
from iotxmpp.controller.columns import texts_of
from iotxmpp.controller.rejection import Origin
from iotxmpp.controller.store import Arrival, Record, Taken
from iotxmpp.readings import Reading

_ROW = 256
_RECORD = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """An arrival, and what is to be done once it is in the store.

    Attributes:
        arrival: The arrival.
        origin: Where it came from.
        settled: Called at once after the commit.
        deliver: Called after that, in the order of the commits; may wait.
    """

    arrival: Arrival
    origin: Origin
    settled: Callable[[Taken], None]
    deliver: Callable[[Taken], Awaitable[None]]

    @property
    def size(self) -> int:
        """About how many characters it holds in memory."""
        rejected = sum(size_of(rejection) for _, rejection in self.arrival.rejections)
        texts = sum(map(len, texts_of(self.arrival.readings)))
        return _ROW * (1 + len(self.arrival.readings)) + rejected + texts

    def without_readings(self, error: object) -> "Job":
        """The same numbers, all rejected: for readings that the store can never take."""
        first = self.arrival.numbers[0][0]
        text = "; ".join(_text(each) for each in self.arrival.readings[:100])
        rejection = self.origin.rejection("store", error, text)
        return replace(self, arrival=replace(self.arrival, readings=(), rejections=((first, rejection),)))


class Writing:
    """Jobs whose transaction is under way.

    The writer and the delivery both wait for it, so that handlers get readings in the turn of the loop in
    which these are settled, and before acks are made of them. Whoever goes on first settles them.

    Args:
        jobs: The jobs.
        taken: What comes of their arrivals.
    """

    def __init__(self, jobs: Sequence[Job], taken: Awaitable[list[Taken]]) -> None:
        self._jobs = jobs
        self._taken = taken
        self._settled = False

    async def committed(self) -> list[tuple[Job, Taken]]:
        """Waits for the commit, after which the jobs are settled at once; raises why it failed."""
        committed = list(zip(self._jobs, await self._taken, strict=True))
        if committed and not self._settled:
            self._settled = True
            crashpoints.at("stored")
            for job, taken in committed:
                job.settled(taken)
        return committed


class Sink(Protocol):
    """Where what devices sent goes."""

    async def put(self, job: Job) -> None:
        """Takes a job; waits while too many wait."""

    def keep(self, record: Record) -> None:
        """Takes what is kept as it is; never waits."""

    async def upto(self, device: str) -> dict[str, int]:
        """Up to where each epoch of a device is settled."""

    async def latest(self, device: str) -> list[Reading]:
        """The newest reading of each channel of a device."""

    async def drain(self) -> None:
        """Waits a while until what waits is committed and delivered."""


def size_of(record: Record) -> int:
    """About how many characters a record holds in memory."""
    payload = getattr(record, "payload", "")
    return _RECORD + len(payload)


def _text(reading: Reading) -> str:
    return f"{reading.channel}={str(reading.value)[:200]} at {reading.time}"
