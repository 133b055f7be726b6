"""The measurements as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from footprint import Fact
from machine import machine, server_version, software
from samples import Series

HEAD = """\
## Latency at low load

`python bench/latency.py` writes this section and the next.

- Machine: {machine}; its load before the run was {load}
- Software: {software}

On the loopback interface, over TLS, one at a time: {repetitions} repetitions of {rounds} rounds. Each round
takes each measurement once, in an order that rotates, with a pause of {pause:g} ms after each, so that the
link is idle when the next one begins. The controllers' ends run together in one process, each device in
a process of its own; every repetition starts the devices and the sessions anew. A reading carries the moment
at which its device called `publish`, by `CLOCK_MONOTONIC`, which all processes of a machine share; the first
statement of the handler looks at the clock again.

The floor is what a user of slixmpp writes by hand: two plain `ClientXMPP`, a custom IQ with a handler of its
own, and XEP-0060 by slixmpp's plugin, to a node that is set up as a device's is. It has no validation, stream
management (XEP-0198), numbering, checks of who calls, metrics or store. Goals of commands are in times of
its IQ round trip.

Above the link's own round trip, a command takes a check of who calls, XEP-0050 and JSON, an id and an expiry,
the executor with its lines in the audit log, and metrics. The journal adds a commit that is on disk before
the command starts, and one after it that need not be. Both commands do nothing, and take no arguments.

Times are in milliseconds. Goals are for p50.
"""

FOOTPRINT = """\
## Footprint

The agent's process is `iotxmpp agent run` with the profile `bme280`, simulated, one reading of each channel a
second; its memory is read {seconds:g} s after its first reading. An MB is 1,048,576 bytes, as in `top`. An
import is timed in {runs} new interpreters; the median is given. `import iotxmpp` loads each part when it is
first used; the two rows below it tell what the parts take. The demo's time runs from the start of its
process, server and devices included, until its metrics show a reading.
"""

NAMES = {"prosody": "Prosody", "ejabberd": "ejabberd"}


@dataclass(kw_only=True)
class Results:
    """What one run of the bench measured.

    Attributes:
        repetitions: Repetitions of the latencies.
        rounds: Rounds in each.
        pause: Milliseconds between two measurements.
        seconds: How long the agent ran before its memory was read.
        runs: Interpreters for each import.
        load: The machine's load before the run.
        latencies: By server; the first series is the one that ratios refer to.
        facts: Memory and start times.
    """

    repetitions: int
    rounds: int
    pause: float
    seconds: float
    runs: int
    load: str
    latencies: dict[str, list[Series]] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)


def markdown(results: Results) -> str:
    """The whole page."""
    parts = [
        HEAD.format(
            machine=machine(),
            software=software(),
            load=results.load,
            repetitions=results.repetitions,
            rounds=results.rounds,
            pause=results.pause,
        )
    ]
    for server, series in results.latencies.items():
        parts.append(f"### {NAMES[server]} {server_version(server)}".rstrip() + "\n")
        parts.append(_latencies(series))
    parts.append(FOOTPRINT.format(seconds=results.seconds, runs=results.runs))
    parts.append(_facts(results.facts))
    return "\n".join(parts)


def _latencies(series: Sequence[Series]) -> str:
    floor = series[0].percentile(50)
    rows = [
        (
            each.name,
            *(f"{each.percentile(percent):.2f}" for percent in (50, 90, 99)),
            f"{min(each.medians):.2f} to {max(each.medians):.2f}",
            f"{each.percentile(50) / floor:.2f}",
            _goal(each.percentile(50), each.goal, "ms")
            or _goal(each.percentile(50) / floor, each.ratio_goal, "times"),
        )
        for each in series
    ]
    head = ("", "p50", "p90", "p99", "p50 of each repetition", "ratio to the raw IQ", "goal")
    return table(head, rows)


def _facts(facts: Sequence[Fact]) -> str:
    rows = [
        (fact.name, f"{_rounded(fact)} {fact.unit}", _goal(fact.value, fact.goal, fact.unit))
        for fact in facts
    ]
    return table(("", "measured", "goal"), rows)


def _rounded(fact: Fact) -> str:
    return f"{fact.value:.1f}" if fact.unit == "MB" else f"{fact.value:.3f}"


def _goal(value: float, goal: float | None, unit: str) -> str:
    if goal is None:
        return ""
    return f"{goal:g} {unit}: {'met' if value <= goal else 'missed'}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown: text, numbers, and text in the last column."""
    numbers = ["---"] + ["---:"] * (len(head) - 2) + ["---"]
    lines = [head, numbers, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
