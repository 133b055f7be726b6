"""The block of the page that `speed.py` writes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from report import table

from versus import kept
from versus.goals import Goal, Outcome
from versus.parts import PARTS
from versus.plots import Look, bars, lines

BLOCK = "bench/speed.py"

HEAD = """\
## Against MQTT, plain slixmpp, and the server's own limit

`python bench/speed.py` measures this; `--only PART` one part of it: {parts}.

- Machine: {machine}; its load before the run was {load}
- Software: {software}
- Servers: {servers}
{earlier}
Everything runs on this machine, over the loopback interface and TLS, each end in a process of its own. Both
sides of a comparison run in turn within one run, again and again; the medians count, and the ratios more than
the figures. The peers run as a careful user runs them: aiomqtt and paho-mqtt with QoS 1 and `TCP_NODELAY` on
both ends (without it a request and its response take over 60 ms); Mosquitto as Debian configures it, but with
no bound to its queues, as it would drop what a busy consumer does not take at once; one JSON object a
reading, `device`, `channel`, `value`, `unit` and `time`, checked by pydantic; a store in SQLite (WAL,
`synchronous=FULL`) whose thread commits whatever waits in one transaction. The peer's store keeps rows
without an index, and nothing looks for duplicates; it acknowledges a message before it is committed. iotxmpp
stores each reading once, acknowledges what is committed, and keeps its indexes for the history. Prosody runs
as `iotxmpp server run` configures it; plain slixmpp and the raw sockets have the same one.

| goal | measured | | from |
| --- | ---: | --- | --- |
"""


_VERDICTS = {True: "met", False: "**not met**", None: "no goal"}


def write(page: Path, found: Mapping[str, Any]) -> str:
    """The block, with its plots drawn beside the page; parts that were never measured are left out."""
    outcomes = kept.outcomes(dict(found))
    folder = kept.folder_of(page)
    run = found["run"]
    earlier = [f"`{name}`" for name in PARTS if name in outcomes and name not in run.get("measured", PARTS)]
    head = HEAD.format(
        parts=", ".join(f"`{name}`" for name in PARTS),
        earlier=f"- Of an earlier run: {', '.join(earlier)}\n" if earlier else "",
        **run,
    )
    goals = [goal for name in PARTS if name in outcomes for goal in outcomes[name].goals]
    parts = [head + goal_rows(goals)]
    for name, part in PARTS.items():
        if name in outcomes:
            parts += [f"### {part.title}\n", outcomes[name].text, *_plots(folder, name, outcomes[name])]
    return "\n".join(parts)


def goal_rows(goals: Iterable[Goal]) -> str:
    """The rows of the table of goals."""
    body = table(
        ("", "", "", ""),
        (
            (
                f"{goal.name}{_wanted(goal)}",
                _figure(goal.value, goal.unit),
                _VERDICTS[goal.met],
                goal.basis,
            )
            for goal in goals
        ),
    )
    return "".join(f"{line}\n" for line in body.splitlines()[2:])


def _wanted(goal: Goal) -> str:
    if goal.bound is None:
        return ""
    return f": {'at least' if goal.least else 'at most'} {_figure(goal.bound, goal.unit)}"


def _figure(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def _plots(folder: Path, name: str, outcome: Outcome) -> list[str]:
    if name == "singles":
        look = Look(title="One busy device, reading by reading", x="readings a second, committed", y="")
        bars(folder / "speed-singles.svg", outcome.figures["rates"], look)
        return [f"![Readings a second of each side]({folder.name}/speed-singles.svg)\n"]
    if name == "fleet":
        look = Look(
            title="A hundred devices", x="readings offered a second", y="committed a second", diagonal=True
        )
        lines(folder / "speed-fleet.svg", outcome.figures["steps"], look)
        return [f"![What is committed of what is offered]({folder.name}/speed-fleet.svg)\n"]
    return []
