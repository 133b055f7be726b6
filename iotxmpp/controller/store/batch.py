"""What goes into the store in one transaction, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from iotxmpp.controller.rejection import Rejection
from iotxmpp.delivery import GapReason
from iotxmpp.intervals import Run
from iotxmpp.readings import Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What one item of a readings node brought: readings of one epoch, or a gap record.

    Attributes:
        device: The device's id.
        epoch: The epoch.
        numbers: All numbers that it settles, as ascending runs: accepted, rejected, or lost.
        readings: The accepted readings, each with one of the numbers.
        rejections: What was rejected, each with one of the numbers; kept only if that number is new.
        reason: Why the numbers are lost, where this is a gap record.
        received: When it came, by this machine's clock, in seconds since 1970.
    """

    device: str
    epoch: str
    numbers: tuple[Run, ...]
    readings: Sequence[Reading] = ()
    rejections: tuple[tuple[int, Rejection], ...] = ()
    reason: GapReason | None = None
    received: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that was noticed of a device.

    Attributes:
        device: The device's id.
        kind: What, for programs: at most 16 characters.
        text: What, for people.
        time: When, by this machine's clock, in seconds since 1970.
    """

    device: str
    kind: str
    text: str
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StateChange:
    """A change of a device's state.

    Attributes:
        device: The device's id.
        state: The new state: at most 16 characters.
        why: Why, for people.
        time: When, by this machine's clock, in seconds since 1970.
    """

    device: str
    state: str
    why: str
    time: float


Record = Rejection | Event | StateChange
"""What is kept as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What goes into the store in one transaction.

    Attributes:
        arrivals: In the order in which they came.
        records: What is kept as it is.
    """

    arrivals: Sequence[Arrival] = ()
    records: Sequence[Record] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What came of an arrival.

    Attributes:
        readings: The readings that the store did not have, in their order.
        rejections: The rejections that it did not have.
        duplicates: How many numbers it had already.
        lost: How many numbers are newly known to be lost.
        postponed: Nothing was taken: the epoch has too many holes before; it must come again, in order.
        upto: All numbers of the epoch up to here are settled.
        missing: How many numbers are missing between those that are settled.
    """

    readings: Sequence[Reading] = ()
    rejections: tuple[Rejection, ...] = ()
    duplicates: int = 0
    lost: int = 0
    postponed: bool = False
    upto: int
    missing: int = 0
