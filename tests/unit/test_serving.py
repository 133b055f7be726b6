"""Calls are carried out at most once, in order, in time, and none without being written down."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from iotxmpp import progress
from iotxmpp.commands import Outcome, read_progress
from iotxmpp.errors import (
    IotxmppError,
    NotAllowedError,
    StoreError,
    UnknownCommandError,
    UnknownDeviceError,
)
from iotxmpp.serving.audit import AuditEntry
from iotxmpp.serving.journal import MemoryJournal
from tests.unit.agent_house import until
from tests.unit.serving_world import DESK, World, caller_of


class Gate:
    """A command that runs until it is let go, and what ran of it."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.open = asyncio.Event()

    async def work(self, number: int = 0) -> int:
        """Works."""
        self.ran.append(number)
        await self.open.wait()
        return number


class BrokenJournal(MemoryJournal):
    """A journal whose disk fails, from the beginning or once something runs."""

    broken = True

    async def open(self) -> None:
        self._check()

    async def begin(self, *given: object) -> Outcome | None:
        self._check()
        return await super().begin(*given)  # type: ignore[arg-type]  # passed on

    async def finish(self, *given: object) -> None:
        self._check()
        await super().finish(*given)  # type: ignore[arg-type]  # passed on

    async def cancel(self, *given: object) -> Outcome:
        self._check()
        return await super().cancel(*given)  # type: ignore[arg-type]  # passed on

    def _check(self) -> None:
        if self.broken:
            raise StoreError("journal: the disk is full; make room")


def counter() -> tuple[list[int], Callable[..., int]]:
    ran: list[int] = []

    def count(number: int = 0) -> int:
        ran.append(number)
        return len(ran)

    return ran, count


async def test_a_repeated_call_gets_the_first_ones_outcome() -> None:
    ran, count = counter()
    world = World(count)
    first = await world.execute("count", arguments='{"number": 3}')
    again = await world.execute("count", arguments={"number": 3}, caller=caller_of("house@example.org/other"))
    assert first == again == Outcome(kind="done", result_json="1")
    assert ran == [3]
    assert world.results() == ["started", "done"]


async def test_an_idempotent_call_runs_again() -> None:
    _, count = counter()
    world = World(count, idempotent=True)
    assert [(await world.execute("count")).result_json for _ in range(2)] == ["1", "2"]


async def test_a_call_that_is_repeated_while_it_runs_joins_it() -> None:
    gate = Gate()
    world = World(gate.work)
    calls = [asyncio.create_task(world.execute("work", arguments={"number": 1})) for _ in range(3)]
    await until(lambda: gate.ran == [1])
    refused = await world.execute("work", arguments={"number": 2})
    assert refused.condition == "conflict"
    gate.open.set()
    assert {each.result_json for each in await asyncio.gather(*calls)} == {"1"}
    assert gate.ran == [1]


async def test_an_id_of_another_call_is_a_conflict() -> None:
    ran, count = counter()
    world = World(count)
    await world.execute("count", arguments={"number": 1})
    refused = await world.execute("count", arguments={"number": 2})
    assert (refused.kind, refused.condition) == ("rejected", "conflict")
    assert ran == [1]


async def test_who_stops_waiting_does_not_stop_the_command() -> None:
    gate = Gate()
    world = World(gate.work)
    call = asyncio.create_task(world.execute("work"))
    await until(lambda: bool(gate.ran))
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    gate.open.set()
    assert (await world.execute("work")).kind == "done"
    assert gate.ran == [0]


async def test_one_command_runs_one_at_a_time_in_the_order_of_its_calls() -> None:
    order: list[str] = []

    async def slow(number: int) -> None:
        order.append(f"+{number}")
        await asyncio.sleep(0)
        order.append(f"-{number}")

    world = World(slow)
    await asyncio.gather(*(world.execute("slow", f"c{n}", arguments={"number": n}) for n in range(20)))
    assert order == [f"{sign}{number}" for number in range(20) for sign in "+-"]


async def test_other_commands_go_on_meanwhile_and_only_so_many() -> None:
    first, second = Gate(), Gate()

    async def one() -> int:
        return await first.work()

    async def two() -> int:
        return await second.work()

    async def three() -> str:
        return "three"

    world = World(one, two, three)
    world.serve(at_once=2, most_waiting=1)
    calls = [asyncio.create_task(world.execute(name, name)) for name in ("one", "two", "three")]
    await until(lambda: bool(first.ran and second.ran))
    await asyncio.sleep(0.01)
    assert not calls[2].done()
    busy = await world.execute("three", "other")
    assert (busy.kind, busy.condition) == ("rejected", "resource-constraint")
    first.open.set()
    assert (await calls[2]).result_json == '"three"'
    second.open.set()
    assert (await world.execute("three", "other")).kind == "done"
    await asyncio.gather(*calls)


@pytest.mark.parametrize(
    ("expires", "within", "clock", "trusted", "runs"),
    [
        (999.0, None, 1000.0, True, False),
        (1001.0, None, 1000.0, True, True),
        (999.0, 5.0, 1000.0, True, False),
        (999.0, 5.0, 1000.0, False, False),  # sent at 994: the clocks agree
        (1001.0, 5.0, 1000.0, False, True),
        (884.0, 5.0, 1000.0, False, True),  # sent at 879: this clock is ahead by 121 s, or more
        (886.0, 5.0, 1000.0, False, False),
        (1126.0, 5.0, 1000.0, False, True),
        (884.0, 0.0, 1000.0, False, False),
        (999.0, 5.0, None, False, True),
        (999.0, None, 1000.0, False, False),
        (1001.0, None, None, False, False),
        (1001.0, 5.0, None, False, True),
        (1001.0, 0.0, 1000.0, True, False),
        (None, -1.0, 1000.0, True, False),
        (None, None, None, False, True),
    ],
)
async def test_an_expired_call_never_starts(
    expires: float | None, within: float | None, clock: float | None, trusted: bool, runs: bool
) -> None:
    ran, count = counter()
    world = World(count)
    world.time, world.trusted = clock, trusted
    outcome = await world.execute("count", expires=expires, within=within)
    assert outcome.kind == ("done" if runs else "expired")
    assert bool(ran) is runs
    assert world.results() == (["started", "done"] if runs else ["expired"])


async def test_a_call_expires_while_it_waits_and_is_told_at_once() -> None:
    gate = Gate()
    world = World(gate.work)
    first = asyncio.create_task(world.execute("work", "1"))
    await until(lambda: bool(gate.ran))
    assert (await world.execute("work", "2", within=0.02)).kind == "expired"
    gate.open.set()
    await first
    assert gate.ran == [0]


async def test_the_stored_outcome_of_an_expired_call_is_told() -> None:
    ran, count = counter()
    world = World(count)
    await world.execute("count", expires=1001.0)
    world.time = 2000.0
    assert (await world.execute("count", expires=1001.0)).kind == "done"
    assert len(ran) == 1


async def test_a_waiting_call_is_cancelled_and_stays_so() -> None:
    gate = Gate()
    world = World(gate.work)
    running = asyncio.create_task(world.execute("work", "1"))
    waiting = asyncio.create_task(world.execute("work", "2"))
    await until(lambda: bool(gate.ran))
    command = world.commands["work"]
    cancelled = await world.executor.cancel(caller_of(DESK), command, id="2")
    assert cancelled is not None
    assert cancelled.kind == "cancelled"
    assert (await waiting).kind == "cancelled"
    assert await world.executor.cancel(caller_of(DESK), command, id="1") is None
    gate.open.set()
    assert (await running).kind == "done"
    assert (await world.execute("work", "2")).kind == "cancelled"
    assert gate.ran == [0]
    late = await world.executor.cancel(caller_of(DESK), command, id="1")
    assert late is not None
    assert late.kind == "done"


async def test_whether_a_clock_agrees_is_judged_by_when_the_call_came() -> None:
    gate = Gate()
    world = World(gate.work)
    world.trusted = False
    first = asyncio.create_task(world.execute("work", "1"))
    await until(lambda: bool(gate.ran))
    second = asyncio.create_task(world.execute("work", "2", expires=1300.0, within=300.0))
    await asyncio.sleep(0)
    world.time, world.steady = (
        1301.0,
        340.0,
    )  # it waited for 290 s; the clock agreed, but for 11 s, when it came
    gate.open.set()
    await first
    assert (await second).kind == "expired"
    third = world.execute("work", "3", expires=2000.0, within=300.0)
    world.time = 1900.0
    assert (await third).kind == "done"


async def test_a_call_that_did_not_come_yet_is_cancelled() -> None:
    ran, count = counter()
    world = World(count)
    await world.executor.cancel(caller_of(DESK), world.commands["count"], id="c")
    assert (await world.execute("count")).kind == "cancelled"
    assert (await world.execute("count", caller=caller_of("other@example.org/1"))).kind == "done"
    assert ran == [0]


async def test_without_its_journal_nothing_runs_that_must_not_run_twice() -> None:
    ran, count = counter()
    world = World(count, journal=BrokenJournal())
    await world.executor.open()
    assert "disk is full" in world.problems.texts["journal"]
    refused = await world.execute("count")
    assert (refused.kind, refused.condition) == ("rejected", "resource-constraint")
    assert "not started: this command must not run twice" in refused.text
    assert ran == []
    BrokenJournal.broken = False
    try:
        assert (await world.execute("count")).kind == "done"
    finally:
        BrokenJournal.broken = True
    assert world.problems.texts == {}


async def test_without_its_journal_an_idempotent_command_runs() -> None:
    ran, count = counter()
    world = World(count, journal=BrokenJournal(), idempotent=True)
    assert (await world.execute("count")).kind == "done"
    assert ran == [0]


async def test_nothing_runs_that_cannot_be_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, count = counter()
    world = World(count)

    def fail(entry: AuditEntry) -> None:
        raise StoreError(f"audit log: the disk is full ({entry.result})")

    monkeypatch.setattr(world.audit, "append", fail)
    refused = await world.execute("count")
    assert (refused.kind, refused.condition) == ("rejected", "resource-constraint")
    assert ran == []
    assert "disk is full" in world.problems.texts["audit"]


async def test_who_did_what_is_written_down() -> None:
    def stuck(number: int) -> None:
        raise OSError("the valve sticks")

    world = World(stuck)
    await world.execute("stuck", "c1", arguments='{"number": 4}')
    await world.execute("stuck", "c2", arguments='{"number": "four"}')
    started, failed, rejected = world.audit.entries
    assert (started.who, started.by, started.device) == (DESK, "house@example.org", "greenhouse")
    assert (started.command, started.id, started.arguments) == ("stuck", "c1", '{"number": 4}')
    assert (failed.result, failed.text) == ("failed", "OSError: the valve sticks")
    assert (rejected.result, rejected.id, rejected.arguments) == ("rejected", "c2", '{"number": "four"}')


async def test_a_command_that_cancels_itself_has_failed() -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    assert (await World(gives_up).execute("gives_up")).kind == "failed"


async def test_progress_goes_to_the_caller_at_most_five_times_a_second() -> None:
    def count() -> None:
        for number in range(100):
            progress(number / 100, f"step {number}")
            threading.Event().wait(0.003)

    world = World(count)
    await world.execute("count")
    assert {to for to, _ in world.sent} == {DESK}
    found = [read_progress(message.extensions) for _, message in world.sent]
    assert 2 <= len(found) <= 4
    assert {message.kind for _, message in world.sent} == {"headline"}
    fractions = [each.fraction for each in found if each is not None and each.fraction is not None]
    assert fractions == sorted(fractions)
    assert len(fractions) == len(found)


def test_progress_outside_a_command_does_nothing() -> None:
    progress(0.5, "nobody listens")


async def test_the_end_of_serving_refuses_what_waits_and_lets_go_what_runs() -> None:
    gate = Gate()
    world = World(gate.work)
    running = asyncio.create_task(world.execute("work", "1"))
    waiting = asyncio.create_task(world.execute("work", "2"))
    await until(lambda: bool(gate.ran))
    closing = asyncio.create_task(world.executor.close())
    assert (await waiting).condition == "resource-constraint"
    assert (await world.execute("work", "3")).condition == "resource-constraint"
    gate.open.set()
    assert (await running).kind == "done"
    await closing


async def test_what_does_not_end_with_serving_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotxmpp.serving.execution.PATIENCE", 0.02)
    gate = Gate()
    world = World(gate.work)
    running = asyncio.create_task(world.execute("work"))
    await until(lambda: bool(gate.ran))
    await world.executor.close()
    assert (await running).kind == "unknown"
    assert world.results() == ["started", "unknown"]


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (NotAllowedError("ann may not"), "forbidden"),
        (UnknownCommandError("no command fly"), "item-not-found"),
        (UnknownDeviceError("no device barn"), "item-not-found"),
    ],
)
async def test_what_refuses_within_a_command_is_a_refusal(error: IotxmppError, condition: str) -> None:
    def ask() -> None:
        raise error

    world = World(ask)
    outcome = await world.execute("ask")
    assert outcome == Outcome(kind="rejected", condition=condition, text=str(error))
    assert world.results() == ["started", "rejected"]
    assert await world.execute("ask") == outcome
