"""Commands with a time to live: they wait, go in order, survive the controller, and end in one state each."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

import pytest

from iotxmpp import crashpoints
from iotxmpp.about import CommandAbout
from iotxmpp.commands import (
    COMMAND_TAG,
    CommandCall,
    cancelled_element,
    expired_error,
    failure_element,
    parse_call,
    result_element,
    started_element,
    too_late_error,
)
from iotxmpp.controller import Controller, Device, queue_lane
from iotxmpp.controller.queued import CommandState, QueuedCommand
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    InvalidError,
    NoAnswerError,
    NotAllowedError,
    NotFoundError,
    StanzaError,
    StoreError,
    UnknownCommandError,
    stanza_error,
)
from iotxmpp.link import Presence, Request
from iotxmpp.status import DeviceStatus
from tests.unit.controller_world import HOUSE, SOON, PlayedDevice, World, about_of, until

ONCE: tuple[Literal["journal"], Literal["idempotent"]] = ("journal", "idempotent")


def describes(once: Literal["journal", "idempotent"] | None = "journal") -> dict[str, CommandAbout]:
    return {"water": CommandAbout() if once is None else CommandAbout(once=once)}


@dataclass
class Journaled:
    """A device that answers a repeated id from its journal, as ours do."""

    played: PlayedDevice
    ran: list[int | str] = field(default_factory=list)
    calls: list[CommandCall] = field(default_factory=list)
    journal: dict[str, object] = field(default_factory=dict)
    before: Callable[[CommandCall], Awaitable[None]] | None = None
    after: Callable[[CommandCall], Awaitable[None]] | None = None

    def serve(self) -> "Journaled":
        self.played.link.serve(COMMAND_TAG, self.answer)
        return self

    async def answer(self, request: Request) -> Element:
        call = parse_call(request.payload)
        if call.action == "cancel":
            if call.id in self.journal:
                raise too_late_error(call)
            self.journal[call.id] = "cancelled"
            return cancelled_element(call)
        self.calls.append(call)
        if self.before is not None:
            await self.before(call)
        if call.id not in self.journal:
            if call.within is not None and call.within <= 0:
                raise expired_error(call)
            self.journal[call.id] = json.loads(call.arguments_json or "{}")
            self.ran.append(json.loads(call.arguments_json or "{}").get("n", call.id))
        if self.after is not None:
            await self.after(call)
        if self.journal[call.id] == "cancelled":
            return cancelled_element(call)
        return result_element(call, self.journal[call.id])


@dataclass
class Case:
    world: World
    controller: Controller
    played: PlayedDevice

    @property
    def device(self) -> Device:
        return self.controller.device("hall")

    def answers(self, error: StanzaError) -> None:
        async def serve(request: Request) -> Element:
            raise error

        self.played.link.serve(COMMAND_TAG, serve)

    async def away(self) -> None:
        await self.played.link.announce(Presence(available=False))
        await until(lambda: not self.device.online)

    async def sleep(self) -> None:
        await self.played.say(why="sleep", sleeping=3600, outbox="disk")
        await until(lambda: self.device.state == "sleeping")

    async def there(self) -> None:
        await self.played.say(outbox="disk")
        await until(lambda: self.device.online)

    async def states(self) -> list[str]:
        return [each.state for each in await self.controller.commands()]

    def metric(self, name: str) -> float:
        lines = self.controller.metrics.text().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_lane, "PATIENCE", 0.1)
    monkeypatch.setattr(queue_lane, "GRACE", 0.3)
    monkeypatch.setattr(queue_lane, "CANCEL_PATIENCE", 0.5)
    monkeypatch.setattr(queue_lane, "FIRST_PAUSE", 0.02)


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    world = World()
    await world.add("hall")
    store = f"sqlite:///{tmp_path}/controller.db"
    async with (
        world.device("hall") as played,
        await world.controller(discover_every=60, store=store) as controller,
    ):
        await played.describe(about_of("hall", commands=describes()))
        await played.say(outbox="disk")
        await controller.wait_for("hall", timeout=SOON)
        device = controller.device("hall")
        await until(lambda: device.about and "once" in device.about.commands["water"].model_fields_set)
        yield Case(world, controller, played)
    await world.close()


# The way of a command that goes well.


async def test_a_device_that_is_there_answers_at_once(case: Case) -> None:
    device = Journaled(case.played).serve()
    assert await case.device.call("water", ttl="6h", seconds=20) == {"seconds": 20}
    (command,) = await case.controller.commands()
    assert (command.state, command.sent, command.result) == ("done", 1, {"seconds": 20})
    (call,) = device.calls
    assert call.id == command.id
    assert call.expires == pytest.approx(command.expires, abs=0.002)
    assert call.within == pytest.approx(6 * 3600, abs=5)
    assert (call.by, call.machine) == ("", True)
    assert case.metric('iotxmpp_commands_total{state="done"}') == 1
    assert case.metric("iotxmpp_commands_queued") == 0


async def test_a_command_waits_for_a_device_that_is_offline(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    ticket = await case.device.queue("water", {"n": 1}, ttl=60, by="ann@example.org")
    await asyncio.sleep(0.05)
    assert (ticket.state, device.calls) == ("queued", [])
    assert case.metric("iotxmpp_commands_queued") == 1
    await case.there()
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}
    assert await case.states() == ["done"]
    assert device.calls[0].by == "ann@example.org"


async def test_a_command_waits_for_a_device_that_sleeps(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.sleep()
    ticket = await case.device.queue("water", ttl=60)
    await asyncio.sleep(0.05)
    assert (ticket.state, device.calls) == ("queued", [])
    await case.there()
    await asyncio.wait_for(ticket.result(), SOON)


async def test_commands_of_a_device_go_in_order_one_at_a_time(case: Case) -> None:
    device = Journaled(case.played).serve()
    running = 0

    async def alone(_call: CommandCall) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.002)
        running -= 1

    device.before = alone
    await case.away()
    tickets = [await case.device.queue("water", {"n": number}, ttl=60) for number in range(20)]
    await case.there()
    await asyncio.gather(*(ticket.result() for ticket in tickets))
    assert device.ran == list(range(20))


async def test_one_device_does_not_hold_up_another(case: Case) -> None:
    await case.world.add("barn")
    await case.away()
    await case.device.queue("water", ttl=60)
    async with case.world.device("barn") as barn:
        await barn.describe(about_of("barn", commands=describes()))
        Journaled(barn).serve()
        await barn.say(outbox="disk")
        case.controller._running()._discovery.hurry("barn")  # type: ignore[arg-type]  # an id by its form
        other = await case.controller.wait_for("barn", timeout=SOON)
        assert await asyncio.wait_for(other.call("water", ttl=60, n=1), SOON) == {"n": 1}


async def test_without_a_ttl_nothing_waits(case: Case) -> None:
    await case.away()
    with pytest.raises(CommandError, match="command water was not sent"):
        await case.device.call("water")
    assert await case.controller.commands() == []


# What becomes of it otherwise.


REFUSALS: list[tuple[StanzaError, type[Exception], str]] = [
    (stanza_error("forbidden", "no"), NotAllowedError, "not-allowed"),
    (stanza_error("item-not-found", "no command water"), UnknownCommandError, "unknown-command"),
    (
        stanza_error("bad-request", "seconds", "{http://jabber.org/protocol/commands}bad-payload"),
        ArgumentsError,
        "wrong-arguments",
    ),
    (stanza_error("not-acceptable", "never"), CommandError, "refused"),
]


@pytest.mark.parametrize(("refusal", "error", "reason"), REFUSALS)
async def test_a_refusal_rejects_it(
    case: Case, refusal: StanzaError, error: type[Exception], reason: str
) -> None:
    case.answers(refusal)
    with pytest.raises(error, match="command water of hall"):
        await case.device.call("water", ttl=60)
    (command,) = await case.controller.commands()
    assert (command.state, command.reason) == ("rejected", reason)


async def test_a_failure_and_an_unknown_end_are_told_apart(case: Case) -> None:
    async def serve(request: Request) -> Element:
        call = parse_call(request.payload)
        stuck = (call.arguments_json or "").find("stuck") >= 0
        return failure_element(call, "the valve is stuck") if stuck else started_element(call)

    case.played.link.serve(COMMAND_TAG, serve)
    with pytest.raises(CommandFailedError, match="the valve is stuck"):
        await case.device.call("water", ttl=60, why="stuck")
    with pytest.raises(CommandUnknownError):
        await case.device.call("water", ttl=60)
    assert await case.states() == ["failed", "unknown"]


async def test_a_session_that_serves_no_commands_rejects_it(case: Case) -> None:
    with pytest.raises(CommandError, match="takes no commands"):
        await asyncio.wait_for(case.device.call("water", ttl=60), SOON)
    assert await case.states() == ["rejected"]


async def test_a_busy_device_is_asked_again(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def busy_at_first(_call: CommandCall) -> None:
        if len(device.calls) < 3:
            raise stanza_error("resource-constraint", "busy")

    device.before = busy_at_first
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON) == {"n": 1}
    assert device.ran == [1]


async def test_one_that_is_never_sent_expires_also_behind_another(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    first = await case.device.queue("water", {"n": 1}, ttl=60)
    second = await case.device.queue("water", {"n": 2}, ttl=0.1)
    with pytest.raises(CommandExpiredError, match="never sent"):
        await asyncio.wait_for(second.result(), SOON)
    assert (first.state, second.state) == ("queued", "expired")
    await case.there()
    await first.result()
    assert device.ran == [1]


async def test_the_device_may_say_that_it_expired(case: Case) -> None:
    call = CommandCall(name="water", arguments_json=None, id="x", expires=0.0)
    case.answers(expired_error(call))
    with pytest.raises(CommandExpiredError):
        await case.device.call("water", ttl=60)
    assert await case.states() == ["expired"]


async def test_a_busy_device_lets_it_expire_and_nothing_is_in_doubt(case: Case) -> None:
    case.answers(stanza_error("resource-constraint", "busy"))
    with pytest.raises(CommandExpiredError, match="was not started"):
        await asyncio.wait_for(case.device.call("water", ttl=0.2), SOON)


# Answers that are lost.


@pytest.mark.parametrize("once", ONCE)
async def test_a_lost_answer_is_asked_for_under_the_same_id(
    case: Case, once: Literal["journal", "idempotent"]
) -> None:
    device = Journaled(case.played).serve()
    await case.played.describe(about_of("hall", commands=describes(once)))
    await until(lambda: case.device.about is not None and case.device.about.commands["water"].once == once)

    async def late_at_first(_call: CommandCall) -> None:
        if len(device.calls) < 3:
            await asyncio.sleep(0.2)

    device.after = late_at_first
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON) == {"n": 1}
    assert len({call.id for call in device.calls}) == 1
    assert (device.ran, len(device.calls)) == ([1], 3)


async def test_the_answer_is_asked_for_in_the_devices_next_session(case: Case) -> None:
    device = Journaled(case.played).serve()
    dropped = False

    async def drop_once(_call: CommandCall) -> None:
        nonlocal dropped
        if not dropped:
            dropped = True
            case.world.server.drop("hall@localhost", back_after=0.05)

    device.after = drop_once
    result = await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON)
    assert (result, device.ran) == ({"n": 1}, [1])


async def test_the_answer_is_asked_for_when_our_own_link_is_back(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def cut_ours(_call: CommandCall) -> None:
        if len(device.calls) == 1:
            case.world.server.drop(HOUSE, back_after=0.05)

    device.after = cut_ours
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON) == {"n": 1}
    assert (device.ran, len(device.calls)) == ([1], 2)


async def test_a_device_that_does_not_say_that_it_remembers_is_not_asked_twice(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.played.describe(
        about_of("hall", commands=describes(None)).model_copy(update={"version": "old"})
    )
    bare = Element("x")
    bare.tag = "{urn:xmpp:json:0}json"
    bare.text = json.dumps({"device": "hall", "commands": {"water": {"description": ""}}})
    await case.played.describe(bare)
    await until(
        lambda: case.device.about and "once" not in case.device.about.commands["water"].model_fields_set
    )

    async def cut_ours(_call: CommandCall) -> None:
        case.world.server.drop(HOUSE, back_after=0.02)

    device.after = cut_ours
    with pytest.raises(CommandUnknownError, match="may have run"):
        await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON)
    await asyncio.sleep(0.1)
    assert len(device.calls) == 1


async def test_a_journal_in_memory_that_was_lost_leaves_it_unknown(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def power_cut(_call: CommandCall) -> None:
        await case.played.link.announce(Presence(available=False))
        case.world.server.drop("hall@localhost", back_after=None)

    device.after = power_cut
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.calls and not case.device.online)
    await asyncio.sleep(0.01)
    status = DeviceStatus(heartbeat=30, uptime=0, version="1", outbox="memory").element()
    await case.played.link.announce(Presence(extensions=(status,)))
    case.world.server.restore("hall@localhost")
    with pytest.raises(CommandUnknownError, match="its journal in memory"):
        await asyncio.wait_for(ticket.result(), SOON)
    assert len(device.calls) == 1


async def test_a_device_that_never_comes_back_leaves_it_unknown(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def gone(_call: CommandCall) -> None:
        case.world.server.drop("hall@localhost", back_after=None)

    device.after = gone
    with pytest.raises(CommandUnknownError, match="no answer came in time"):
        await asyncio.wait_for(case.device.call("water", ttl=0.2, n=1), SOON)
    assert await case.states() == ["unknown"]


async def test_a_refusal_after_a_lost_answer_does_not_say_that_it_never_ran(case: Case) -> None:
    device = Journaled(case.played).serve()

    async def then_forbidden(_call: CommandCall) -> None:
        if len(device.calls) > 1:
            raise stanza_error("forbidden", "not any more")

    async def late(_call: CommandCall) -> None:
        await asyncio.sleep(0.3)

    device.before, device.after = then_forbidden, late
    with pytest.raises(CommandUnknownError, match="refused now"):
        await asyncio.wait_for(case.device.call("water", ttl=60, n=1), SOON)


# Cancelling.


async def test_what_waits_can_be_cancelled(case: Case) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    first = await case.device.queue("water", {"n": 1}, ttl=60)
    second = await case.device.queue("water", {"n": 2}, ttl=60)
    assert await first.cancel()
    assert await first.cancel()
    with pytest.raises(CommandCancelledError):
        await first.result()
    await case.there()
    await second.result()
    assert device.ran == [2]
    assert not await second.cancel()
    assert second.state == "done"


async def test_what_was_sent_and_not_started_is_cancelled_on_the_device(case: Case) -> None:
    device = Journaled(case.played).serve()
    gate = asyncio.Event()

    async def wait(_call: CommandCall) -> None:
        await gate.wait()

    device.before = wait
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.calls)
    assert ticket.state == "sent"
    assert await case.controller.cancel(ticket.id)
    gate.set()
    with pytest.raises(CommandCancelledError):
        await asyncio.wait_for(ticket.result(), SOON)
    assert device.ran == []


async def test_what_runs_is_too_late_to_cancel(case: Case) -> None:
    device = Journaled(case.played).serve()
    gate = asyncio.Event()

    async def wait(_call: CommandCall) -> None:
        await gate.wait()

    device.after = wait
    ticket = await case.device.queue("water", {"n": 1}, ttl=60)
    await until(lambda: device.ran)
    assert not await ticket.cancel()
    gate.set()
    assert await asyncio.wait_for(ticket.result(), SOON) == {"n": 1}


async def test_an_id_that_is_not_there_cannot_be_cancelled(case: Case) -> None:
    with pytest.raises(NotFoundError, match="no command nonsense"):
        await case.controller.cancel("nonsense")


# What cannot be queued.


@pytest.mark.parametrize("ttl", ["soon", "", 0, -1, float("nan"), float("inf"), "400d"])
async def test_a_ttl_that_is_none_is_told(case: Case, ttl: Any) -> None:  # noqa: ANN401  # what people write
    with pytest.raises(InvalidError, match="ttl"):
        await case.device.queue("water", ttl=ttl)
    assert await case.controller.commands() == []


async def test_arguments_and_names_that_cannot_travel_are_told_before_anything_is_kept(case: Case) -> None:
    with pytest.raises(ArgumentsError):
        await case.device.call("water", ttl=60, seconds=float("nan"))
    with pytest.raises(InvalidError):
        await case.device.call("wa\x00ter", ttl=60)
    with pytest.raises(InvalidError):
        await case.device.queue("water", ttl=60, by="nobody")
    assert await case.controller.commands() == []


async def test_a_controller_that_only_watches_keeps_no_queue(case: Case) -> None:
    link = case.world.server.link(case.controller._found_account())
    async with link, Controller(HOUSE, link=link, collects=False) as watching:
        device = await watching.wait_for("hall", timeout=SOON)
        with pytest.raises(InvalidError, match="keeps no queue"):
            await device.call("water", ttl=60)
        with pytest.raises(InvalidError, match="keeps no queue"):
            await watching.commands()


# The store, and the end of the controller.


async def test_a_store_that_fails_for_a_while_delays_and_loses_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Journaled(case.played).serve()
    keeping = case.controller._keeping
    assert keeping is not None
    rows, failures = keeping.rows, Counter(sending=2, end=2)
    sending, end = rows.sending, rows.end

    def fail(name: str) -> None:
        if failures[name]:
            failures[name] -= 1
            raise StoreError("disk full")

    def failing_sending(id_: str, now: float) -> bool:
        fail("sending")
        return sending(id_, now)

    def failing_end(command: QueuedCommand, *, only: tuple[CommandState, ...]) -> bool:
        fail("end")
        return end(command, only=only)

    monkeypatch.setattr(rows, "sending", failing_sending)
    monkeypatch.setattr(rows, "end", failing_end)
    assert await asyncio.wait_for(case.device.call("water", ttl=60, n=1), 5) == {"n": 1}
    assert device.ran == [1]
    assert not any(failures.values())


async def test_who_waits_when_the_controller_stops_is_told(case: Case) -> None:
    await case.away()
    ticket = await case.device.queue("water", ttl=60)
    waiting = asyncio.create_task(ticket.result())
    await asyncio.sleep(0)
    await case.controller.__aexit__(None, None, None)
    with pytest.raises(NoAnswerError, match="it goes on when the controller runs again"):
        await waiting


async def test_a_new_run_goes_on_in_order(case: Case, tmp_path: Path) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    tickets = [await case.device.queue("water", {"n": n}, ttl=60) for n in range(3)]
    short = await case.device.queue("water", {"n": 9}, ttl=0.2)
    await case.controller.__aexit__(None, None, None)
    await asyncio.sleep(0.25)
    link = case.world.server.link(case.controller._found_account())
    async with link, Controller(HOUSE, link=link, store=f"sqlite:///{tmp_path}/controller.db") as again:
        await case.played.say(outbox="disk")

        async def ended() -> bool:
            return all(each.ended for each in await again.commands())

        async with asyncio.timeout(SOON):
            while not await ended():  # noqa: ASYNC110  # the store has no event
                await asyncio.sleep(0.01)
        found = {each.id: each.state for each in await again.commands()}
    assert device.ran == [0, 1, 2]
    assert found == {**{ticket.id: "done" for ticket in tickets}, short.id: "expired"}


PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from iotxmpp.about import CommandAbout
from iotxmpp.commands import COMMAND_TAG, parse_call, result_element
from tests.unit.controller_world import World, about_of, until

folder = Path(sys.argv[1])

async def main():
    world = World()
    await world.add("hall")
    async with world.device("hall") as played:
        await played.describe(about_of("hall", commands={"water": CommandAbout(once="journal")}))
        journal = folder / "journal"

        async def serve(request):
            call = parse_call(request.payload)
            done = journal.read_text().split() if journal.exists() else []
            if call.id not in done:
                with journal.open("a") as file:
                    print(call.id, file=file)
            return result_element(call, "watered")

        played.link.serve(COMMAND_TAG, serve)
        async with await world.controller(store=f"sqlite:///{folder}/controller.db") as controller:
            device = await controller.wait_for("hall", online=None)
            if len(await controller.commands()) == 0:
                ticket = await device.queue("water", {"n": 1}, ttl=60)
            await played.say(outbox="disk")
            for _ in range(500):
                commands = await controller.commands()
                if all(each.ended for each in commands):
                    break
                await asyncio.sleep(0.01)
            print(json.dumps([[each.id, each.state, each.sent] for each in commands]))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("place", "sent"), [("queue.committed", 1), ("queue.sent", 2), ("queue.answered", 2)]
)
async def test_a_controller_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, place: str, sent: int
) -> None:
    assert place in crashpoints.COMMAND_LABELS

    async def run(**environment: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(tmp_path)),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, said.decode()

    assert (await run(IOTXMPP_CRASH_AT=place))[0] == -signal.SIGKILL
    code, said = await run()
    assert code == 0
    ((id_, state, count),) = json.loads(said)
    assert (state, count) == ("done", sent)
    assert (tmp_path / "journal").read_text().split() == [id_]
