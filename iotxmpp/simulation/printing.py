"""What simulated devices read over a time, without a server and without waiting."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.profiled import EVERY
from iotxmpp.kinds import ReadingKind
from iotxmpp.readings import Value
from iotxmpp.simulation.driver import Course, FleetDriver
from iotxmpp.simulation.order import Member
from iotxmpp.simulation.truth import Truth


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One value of one channel.

    Attributes:
        time: Seconds since 1970.
        device: Whose it is.
        channel: What was read.
        value: What it read.
        unit: Its unit.
    """

    time: float
    device: DeviceId
    channel: str
    value: Value
    unit: str | None


async def lines(
    fleet: Sequence[Member], *, since: float, seconds: float, every: float | None = None
) -> AsyncIterator[Line]:
    """All values of all devices, ordered by time, then by device.

    A channel is read each `every` seconds of its profile, unchanged values included. A device that is offline
    still reads: its values would come later.

    Args:
        fleet: The devices.
        since: When to start, in seconds since 1970.
        seconds: For how long.
        every: Seconds between the values of every channel; what the profiles say unless given.
    """
    course = Course(since=since)
    drivers = {
        member.device: FleetDriver(
            member.profile, name=member.seed, course=course, elapsed=lambda: 0.0, fault=member.fault
        )
        for member in fleet
    }
    schedules = [_schedule(index, member, seconds, every) for index, member in enumerate(fleet)]
    for elapsed, index, channels in heapq.merge(*schedules, key=lambda due: due[:2]):
        device = fleet[index].device
        values = await drivers[device].sensed(elapsed)
        for name, kind in channels.items():
            if name in values:
                yield Line(
                    time=since + elapsed, device=device, channel=name, value=values[name], unit=kind.unit
                )
        await asyncio.sleep(0)  # whoever wants to end it gets a turn


def tell_truth(fleet: Sequence[Member], truth: Truth, *, since: float, seconds: float) -> None:
    """Writes down which fault is on when in that time, ordered by time."""
    changes: list[tuple[float, Member, bool]] = []
    for member in fleet:
        elapsed = 0.0
        while member.fault is not None:
            window = member.fault.next_window(elapsed)
            if window.begins >= seconds:
                break
            changes += [(window.begins, member, True), (min(window.ends, seconds), member, False)]
            elapsed = window.ends
    for at, member, on in sorted(changes, key=lambda change: (change[0], change[1].device)):
        if on and member.fault is not None:
            truth.began(member.device, member.fault.kind, since + at)
        else:
            truth.ended(member.device, since + at)


Due = tuple[float, int, Mapping[str, ReadingKind]]


def _schedule(index: int, member: Member, seconds: float, every: float | None) -> Iterator[Due]:
    """When which channels of a device are due."""
    kinds = member.profile.reading_kinds()
    rhythms: dict[float, dict[str, ReadingKind]] = {}
    for name, kind in kinds.items():
        rhythms.setdefault(every or kind.every or EVERY, {})[name] = kind
    turns = [(0.0, rhythm, 0) for rhythm in rhythms]
    heapq.heapify(turns)
    while turns and turns[0][0] < seconds:
        elapsed = turns[0][0]
        channels: dict[str, ReadingKind] = {}
        while turns[0][0] == elapsed:
            _, rhythm, turn = turns[0]
            channels |= rhythms[rhythm]
            heapq.heapreplace(turns, (rhythm * (turn + 1), rhythm, turn + 1))
        yield elapsed, index, {name: kind for name, kind in kinds.items() if name in channels}
