"""Judges a run of commands: what the devices wrote down against what the controller says became of each."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iotxmpp.controller.queued import OPEN, QueuedCommand
from tests.chaos.commands_plan import Step

RAN = frozenset({"done", "failed"})
MAY_HAVE_RUN = frozenset({"unknown"})
NEVER_RAN = frozenset({"rejected", "expired", "cancelled"})
MOST_SHOWN = 20


@dataclass(kw_only=True, slots=True)
class CommandVerdict:
    """What is right, and what is not.

    Attributes:
        states: How many commands ended in each state, by way and state.
        ran: Commands that are in a ledger.
        unknown_ran: Those of them whose state is `unknown`.
        faults: What is wrong; empty where all is right.
    """

    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    ran: int = 0
    unknown_ran: int = 0
    faults: list[str] = field(default_factory=list)

    def of(self, state: str) -> int:
        """How many ended in this state."""
        return sum(count for (_, each), count in self.states.items() if each == state)

    def __str__(self) -> str:
        counts = ", ".join(f"{way} {state}: {count}" for (way, state), count in sorted(self.states.items()))
        head = (
            f"{self.states.total()} commands, {self.ran} ran, {self.of('unknown')} unknown of which "
            f"{self.unknown_ran} ran ({counts})"
        )
        if not self.faults:
            return f"RIGHT: {head}"
        shown = "".join(f"\n  {fault}" for fault in self.faults[:MOST_SHOWN])
        more = len(self.faults) - MOST_SHOWN
        return f"WRONG: {head}{shown}" + (f"\n  and {more} more" if more > 0 else "")


def read_ledgers(paths: Iterable[Path]) -> Counter[int]:
    """How often each command ran, by its number."""
    return Counter(int(line) for path in paths if path.exists() for line in path.read_text().splitlines())


def judge_commands(
    steps: Iterable[Step], ran: Mapping[int, int], queued: Iterable[QueuedCommand], called: Mapping[int, str]
) -> CommandVerdict:
    """Judges.

    Args:
        steps: What was to be done.
        ran: How often each ran, by the devices' ledgers.
        queued: The queued ones, as the store has them at the end.
        called: How the plain calls ended, as the controller noted it.
    """
    verdict = CommandVerdict(ran=len(ran))
    rows: dict[int, list[QueuedCommand]] = {}
    for row in queued:
        rows.setdefault(row.arguments["token"], []).append(row)
    tokens = set()
    for step in steps:
        tokens.add(step.token)
        state, fault = _state(step, rows.get(step.token, []), called)
        verdict.states[step.way, state] += 1
        times = ran.get(step.token, 0)
        verdict.unknown_ran += state in MAY_HAVE_RUN and times > 0
        fault = fault or _fault(state, times)
        if fault:
            verdict.faults.append(f"command {step.token} of {step.device} ({step.way}): {fault}")
    verdict.faults += [f"command {token} ran, and nobody gave it" for token in ran if token not in tokens]
    return verdict


def _state(step: Step, rows: list[QueuedCommand], called: Mapping[int, str]) -> tuple[str, str]:
    """How a command ended, and what is wrong with that already."""
    if step.way == "call":
        state = called.get(step.token)
        return (state, "") if state is not None else ("missing", "it was never called")
    if len(rows) != 1:
        return "missing", f"it is in the store {len(rows)} times"
    row = rows[0]
    if row.state == "done" and row.result != step.token:
        return row.state, f"its result is {row.result!r}"
    return row.state, ""


def _fault(state: str, times: int) -> str:
    """What is wrong where a command that ended so ran so many times."""
    if times > 1:
        return f"it is {state}, and ran {times} times"
    if state in RAN:
        return "" if times else f"it is {state}, and never ran"
    if state in NEVER_RAN:
        return f"it is {state}, and ran" if times else ""
    if state in OPEN or state not in MAY_HAVE_RUN:
        return f"it is in no definite state: {state}"
    return ""
