"""The things that grow: how each is measured, and what bounds it.

What is said of the figures comes from them; all else holds whatever they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iotxmpp.agent.outbox.packs import MOST_READINGS
from iotxmpp.agent.outbox.taking import COMMIT_AT, COMMIT_EVERY
from iotxmpp.controller.ackpace import LEAST
from versus.growth_bound import costs, memory_between, memory_for_each, packs, who_is_busy
from versus.growth_devices import DEAR, PROCESSES, TASKS
from versus.growth_packs import LOAD
from versus.growth_point import Point

Bound = Callable[[Sequence[Point], int], str]
"""Says what bounds a throughput, of these points and with so many cores."""

Said = Callable[[Sequence[Point]], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One thing that grows.

    Attributes:
        title: Its heading.
        size: What grows, for people.
        text: How it is measured.
        throughput: What bounds the throughput.
        latency: What the latency waits for.
        memory: What memory hangs on.
    """

    title: str
    size: str
    text: str
    throughput: Bound
    latency: str
    memory: Said


DEVICES = Kind(
    title="By the number of devices",
    size="devices",
    text=f"""\
Each device is an agent with a session and an outbox of its own; up to {PROCESSES} processes share them. The
throughput is of {TASKS:,} tasks that share the devices; the latency of one reading at a time, while the other
devices are online and silent but for their heartbeats. Of {DEAR:,} devices the start takes most of the time:
their repetitions are rounds of one start, in the middle of the others', which start anew for each.
""",
    throughput=lambda points, cores: (
        f"""\
The tasks of one device fill its packs; the more devices share them, the fewer readings each has to put into
one, and what an item costs is shared by fewer. {packs(points, "devices")}
{costs(points, "devices")} {who_is_busy(points, cores, "devices")}
"""
    ),
    latency="""\
One reading at a time waits for one item's way from the agent through Prosody to the controller, and for one
commit there. The other devices add what they do while they are silent, such as heartbeats, in the same
processes and on the same cores.
""",
    memory=lambda points: (
        f"""\
Agents of one process share its interpreter and libraries, so the more there are, the less of those falls on
each; what remains is its session and its outbox. {memory_for_each(points, "device")}
"""
    ),
)

PACKS = Kind(
    title="By the size of packs",
    size="readings a pack",
    text=f"""\
One busy device whose packs are bounded. The latency is measured beside a load of {LOAD:g} readings a second.
""",
    throughput=lambda points, cores: (
        f"""\
Small packs are bounded by what an item costs all three, of which each of their readings bears a large part;
in large ones it is shared by many, and what one reading costs remains: the throughput can grow with the size
no further than that. {costs(points, "readings a pack")}
{who_is_busy(points, cores, "readings a pack")}
"""
    ),
    latency=f"""\
Under a load, readings of small packs wait for more than their item's way: a live pack goes out when all
readings before it are acknowledged or on the device's disk, so that an agent that is killed leaves no holes
([live readings](delivery.md#live-readings)). A controller leaves {LEAST * 1000:g} ms between two acks to a
session, and in so much time {LOAD * LEAST:g} readings of this load come. Packs that hold more go out with the
acks. Of smaller ones more are due than acks come, so readings wait for the commit to the disk: that is made
when {COMMIT_AT} wait, at this load every {COMMIT_AT / LOAD * 1000:g} ms, or after {COMMIT_EVERY:g} s. By
itself an agent bounds its packs only by {MOST_READINGS} readings and by the bytes that the server takes.
""",
    memory=lambda points: (
        f"""\
A pack is at most a stanza as large as the server takes, and is gone when it is acknowledged.
{memory_between(points)}
"""
    ),
)

DEPTH = Kind(
    title="By the depth of the outbox",
    size="readings that wait",
    text="""\
An agent comes online with so many readings of an earlier run on disk; 10,000 at least, since fewer are gone
while the session still begins, and would measure that. Nothing is subtracted for it, so it weighs most in the
first row. For the throughput it sends them as fast as it can, until all are committed or some seconds are
over; the latency is that of live readings while another start of it sends them as it does by itself, 2,000 a
second and in half of its publishing time. Its memory is read while it still sends, or after.
""",
    throughput=lambda points, cores: (
        f"""\
The outbox is read page by page by its key, so no reading costs more because others wait behind it.
{costs(points, "readings that wait")} {who_is_busy(points, cores, "readings that wait")}
"""
    ),
    latency="""\
Live readings go before the backlog: one waits for no more than the pack of it that is in flight, and for what
the controller has of it already. Without the limits of the agent's `[outbox]` a large backlog fills the
controller's queue, and live readings wait behind that.
""",
    memory=lambda points: (
        f"""\
An agent reads its backlog from the disk page by page, and holds one page of it.
{memory_between(points)}
"""
    ),
)

KINDS = {"devices": DEVICES, "packs": PACKS, "depth": DEPTH}
