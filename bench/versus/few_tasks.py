"""A device whose readings are handed over by one task, or a few: a loop that waits for each `publish`."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from report import table

from versus.rounds import one_round
from versus.stage import Stage
from versus.turns import Side

TEXT = """\
A loop that waits for each `publish` before the next is another matter: while few readings wait at once, each
waits for a commit to the device's disk, or for the collector's ack. Of commits for fewer than 24 readings
2,000 may follow each other at once, and 20 a second after that, so that no loop wears a memory card out; the
acks are then what such a loop waits for, 20 ms apart. The peers keep nothing on the device. Readings a
second, medians of {repetitions} rounds; `publish_many` hands a block over in one call.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of what a loop hands over.

    Attributes:
        tasks: How many loops there are.
        before: Readings that go before.
        ours: Readings of iotxmpp that are timed.
        peer: Readings of the peer that are timed.
    """

    tasks: int
    before: int
    ours: int
    peer: int


STRETCHES = (
    Stretch(tasks=1, before=100, ours=1_000, peer=2_000),
    Stretch(tasks=1, before=2_200, ours=300, peer=2_000),
    Stretch(tasks=20, before=2_000, ours=20_000, peer=10_000),
    Stretch(tasks=20, before=44_000, ours=4_000, peer=10_000),
)
TINY = (Stretch(tasks=1, before=10, ours=20, peer=20),)


async def measure(
    stage: Stage, sides: Sequence[Side], stretches: Sequence[Stretch], *, repetitions: int
) -> str:
    """Measures each stretch with both sides in turn, and tells it.

    Args:
        stage: Where.
        sides: Ours and the peer; only how they start counts.
        stretches: What is handed over.
        repetitions: Rounds of each.
    """
    rows = [await _row(stage, sides, stretch, repetitions) for stretch in stretches]
    heads = ("", *(side.name for side in sides), "ratio", "")
    return f"{TEXT.format(repetitions=repetitions)}\n{table(heads, rows)}"


async def _row(stage: Stage, sides: Sequence[Side], stretch: Stretch, repetitions: int) -> tuple[str, ...]:
    found: list[list[float]] = [[], []]
    order = {"do": "singles", "tasks": stretch.tasks}
    for number in range(repetitions):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            readings = (stretch.ours, stretch.peer)[which]
            async with sides[which].start(stage) as pair:
                taken = await one_round(pair, readings, order, warm_up=stretch.before)
            found[which].append(taken.rate)
    ours, peer = map(median, found)
    tasks = "1 task" if stretch.tasks == 1 else f"{stretch.tasks} tasks"
    return (
        f"{tasks}, after {stretch.before:,} readings",
        f"{ours:,.0f}",
        f"{peer:,.0f}",
        f"{ours / peer:.2f}",
        "",
    )
