"""The measurements of `delivery.py` as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from report import table

GOAL = 0.5
MOST_BYTES = 600

TEXT = """\
`python bench/delivery.py` writes this section. The server is Prosody on the loopback interface, the agent and
the controller have processes of their own, and the controller stores in SQLite. All files are on
{file_system}; the machine is that of the top of the page, and its load before the run was {load}.

A round is a new agent that publishes {readings} readings from {tasks} tasks, each of which waits for one
`await agent.publish(…)` before the next. Its time runs from the first call until the last reading is in the
controller's store, committed: that is looked at from outside, and then the readings there are counted. The
outbox is on (a file) and off (`outbox="memory"`; packs and acks are the same) in turn, and which of the two
is first changes from round to round. {warm_up} readings go before, and are not timed.
"""

FEW = """\
With fewer tasks than a commit has readings; the medians of {rounds} rounds. A commit is made when 100
readings wait, or after half a second; or at once when all tasks that waited for the last commit wait again.
While those bring fewer than {enough} readings, {singles:,} such commits may follow each other at that pace,
and then {singles_a_second:g} come each second, so that no loop wears a memory card out. These rounds end
before that.
"""

BYTES = """\
Last, an agent publishes {rate} readings a second for {seconds:g} s, and ends. The bytes are `write_bytes` of
`/proc/<pid>/io`, from the warm-up to after the end, so that trimming and the last checkpoint are counted. The
goal is for the device, whose disk is a memory card.
"""


@dataclass(kw_only=True)
class Rounds:
    """Rounds with one number of tasks.

    Attributes:
        tasks: The tasks.
        readings: The readings of each round.
        on: Readings a second with the outbox on, by round.
        off: Readings a second with it off, by round.
    """

    tasks: int
    readings: int
    on: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """What is left of the throughput with the outbox on, by round."""
        return [on / off for on, off in zip(self.on, self.off, strict=True)]


@dataclass(kw_only=True)
class Results:
    """What one run of the bench measured.

    Attributes:
        file_system: Where the files were.
        load: The machine's load before the run.
        rounds: The rounds that have a goal.
        few: Those with fewer tasks.
        warm_up: Readings before each round.
        rate: Readings a second of the steady run.
        seconds: How long that was.
        bytes: Bytes written for each of its readings, by process.
        limits: How often commits are made.
    """

    file_system: str
    load: str
    rounds: Rounds
    few: list[Rounds]
    warm_up: int
    rate: float
    seconds: float
    limits: dict[str, float]
    bytes: dict[str, float] = field(default_factory=dict)


def markdown(results: Results) -> str:
    """The whole section, without its heading."""
    rounds = results.rounds
    text = TEXT.format(
        file_system=results.file_system,
        load=results.load,
        readings=f"{rounds.readings:,}",
        tasks=rounds.tasks,
        warm_up=results.warm_up,
    )
    parts = [text, _rounds(rounds)]
    if results.few:
        parts += [FEW.format(rounds=len(results.few[0].on), **results.limits), _few(results.few)]
    parts += [BYTES.format(rate=results.rate, seconds=results.seconds), _bytes(results.bytes)]
    return "\n".join(parts)


def _rounds(rounds: Rounds) -> str:
    rows = [
        _row(f"round {number}", *each)
        for number, each in enumerate(zip(rounds.on, rounds.off, rounds.ratios, strict=True), 1)
    ]
    for name, pick in (("least", min), ("median", median), ("greatest", max)):
        goal = ""
        if name == "median":
            goal = f"{GOAL:g}: {'met' if median(rounds.ratios) >= GOAL else 'missed'}"
        rows.append(_row(name, pick(rounds.on), pick(rounds.off), pick(rounds.ratios), goal))
    return table(("readings a second", "outbox on", "outbox off", "ratio", "goal"), rows)


def _few(several: Sequence[Rounds]) -> str:
    rows = [
        _row(
            f"{each.tasks} task{'s' if each.tasks > 1 else ''}, {each.readings:,} readings",
            median(each.on),
            median(each.off),
            median(each.ratios),
        )
        for each in several
    ]
    return table(("readings a second", "outbox on", "outbox off", "ratio", ""), rows)


def _row(name: str, on: float, off: float, ratio: float, goal: str = "") -> tuple[str, ...]:
    return name, f"{on:,.0f}", f"{off:,.0f}", f"{ratio:.2f}", goal


def _bytes(written: dict[str, float]) -> str:
    goal = f"{MOST_BYTES}: {'met' if written['the agent'] < MOST_BYTES else 'missed'}"
    rows = [(name, f"{count:,.0f}", goal if name == "the agent" else "") for name, count in written.items()]
    return table(("", "bytes written per reading", "goal"), rows)
