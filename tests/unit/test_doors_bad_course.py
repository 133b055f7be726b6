"""Calls that go wrong on their way: late, too many, left alone, or in a function that misbehaves."""

import asyncio
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.agent.clock import Clock
from iotxmpp.agent.commanding import _now
from iotxmpp.commands import read_reply
from iotxmpp.errors import CommandFailedError, StanzaError
from iotxmpp.link import Message
from iotxmpp.serving import sessions
from iotxmpp.serving.deadline import Clocks
from iotxmpp.serving.execution import MOST_WAITING, Executor
from iotxmpp.serving.person import PersonDoor
from iotxmpp.serving.server import CommandServer
from iotxmpp.serving.sessions import Sessions
from iotxmpp.xmltext import check_element
from tests.unit.agent_house import until
from tests.unit.doors_house import MEGABYTE, Valve, call, refused, still_works
from tests.unit.person_client import command, fields, note, session_of
from tests.unit.serving_world import DESK, World, chat_of
from tests.unit.test_serving import Gate

REAL_NOW = 1_790_000_000.0
OTHER_SESSION = "house@example.org/phone"


@pytest.fixture
def world(valve: Valve) -> World:
    return World(valve.open)


async def test_a_call_that_expired_is_refused_by_either_clock(world: World, valve: Valve) -> None:
    expiries: list[dict[str, Any]] = [{"expires": 999.0}, {"within": 0.0}, {"within": -5.0}]
    for expiry in expiries:
        error = await refused(world, call('{"seconds": 1}', id=str(expiry), **expiry))
        assert (error.condition, error.text) == (
            "not-acceptable",
            "command open: the call expired before it could start",
        )
    assert valve.opened == []
    await still_works(world)


async def test_a_call_expires_by_the_time_since_its_receipt_while_it_waits() -> None:
    gate = Gate()
    world = World(gate.work)
    first = asyncio.create_task(world.ask(call('{"number": 1}', name="work", id="1")))
    await until(lambda: gate.ran == [1])
    second = asyncio.create_task(world.ask(call('{"number": 2}', name="work", id="2", within=30.0)))
    await asyncio.sleep(0)
    world.time = None  # the wall clock says nothing about it
    world.steady += 31.0
    gate.open.set()
    await first
    with pytest.raises(StanzaError, match="expired before it could start"):
        await second
    assert gate.ran == [1]


@pytest.mark.parametrize("shows", [0.0, 4_102_444_800.0 + 86400], ids=["1970", "2100"])
@pytest.mark.parametrize(
    ("expiry", "runs"),
    [
        ({}, True),
        ({"expires": REAL_NOW + 60}, False),
        ({"expires": REAL_NOW + 60, "within": 60.0}, True),
        ({"expires": REAL_NOW - 60, "within": -60.0}, False),
    ],
    ids=["no expiry", "expiry alone", "with time left", "with none left"],
)
async def test_a_clock_that_nobody_set_is_not_asked(
    world: World, valve: Valve, shows: float, expiry: dict[str, Any], runs: bool
) -> None:
    clock = Clock(wall=lambda: shows, uptime=lambda: 50.0, synchronised=lambda: False)
    clocks = Clocks(wall=lambda: _now(clock), steady=clock.uptime)
    world.executor = Executor(world.journal, device="greenhouse", audit=world.audit, clocks=clocks)
    world.server = CommandServer(world.commands, world.access, world.executor, device="greenhouse")
    if runs:
        await world.ask(call('{"seconds": 1}', **expiry))
    else:
        assert (await refused(world, call('{"seconds": 1}', **expiry))).condition == "not-acceptable"
    assert bool(valve.opened) is runs


async def test_a_form_that_is_submitted_twice_runs_once(world: World, valve: Valve) -> None:
    shown = session_of(await world.ask(command("execute", name="open")))
    answers = await asyncio.gather(
        *(world.ask(command("complete", shown, name="open", seconds="3")) for _ in range(5))
    )
    assert {fields(answer)["result"] for answer in answers} == {"3 s"}
    assert valve.opened == [3]


async def test_a_thousand_sessions_that_were_left_are_bounded_and_end(world: World, valve: Valve) -> None:
    now = [0.0]
    kept = Sessions(now=lambda: now[0])
    world.server._door = PersonDoor(world.executor, sessions=kept)
    first = session_of(await world.ask(command("execute", name="open")))
    for _ in range(1000):
        await world.ask(command("execute", name="open"))
    assert len(kept) == sessions.MOST_EACH
    assert (
        "no such session" in (await refused(world, command("complete", first, name="open", seconds="1"))).text
    )
    for number in range(1000):
        await world.ask(command("execute", name="open"), f"house@example.org/{number}")
    assert len(kept) == sessions.MOST_EACH
    await still_works(world)
    now[0] = sessions.LASTING + 1
    await world.ask(command("execute", name="open"), "house@example.org/late")
    assert len(kept) == 1
    assert valve.opened == [7]


async def test_a_session_is_not_anothers(world: World, valve: Valve) -> None:
    shown = session_of(await world.ask(command("execute", name="open")))
    for action in ("complete", "cancel", "next", "prev"):
        error = await refused(world, command(action, shown, name="open", seconds="1"), OTHER_SESSION)
        assert error.condition == "bad-request"
    await world.ask(command("complete", shown, name="open", seconds="2"))
    assert valve.opened == [2]


async def test_a_flood_is_refused_beyond_its_bounds_and_kept_in_order() -> None:
    gate = Gate()
    world = World(gate.work)
    calls = [
        asyncio.create_task(world.ask(call(f'{{"number": {number}}}', name="work", id=f"c{number}")))
        for number in range(1000)
    ]
    await until(lambda: sum(each.done() for each in calls) == 1000 - MOST_WAITING - 1)
    gate.open.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    faults = [each for each in ended if isinstance(each, StanzaError)]
    assert {each.condition for each in faults} == {"resource-constraint"}
    assert {each.text for each in faults} == {"this device is busy with other commands; try again later"}
    assert gate.ran == list(range(MOST_WAITING + 1))
    assert world.executor._calls == {}
    await still_works(world, name="work", arguments="{}")


class UnprintableError(Exception):
    """An error that cannot tell its text."""

    def __str__(self) -> str:
        raise ValueError("nothing to say")


class Rude(BaseException):
    """No `Exception`."""


RAISED: tuple[BaseException, ...] = (
    SystemExit(3),
    KeyboardInterrupt(),
    Rude("out"),
    asyncio.CancelledError(),
    StopIteration(),
    StopAsyncIteration(),
    UnprintableError(),
    OSError("caf\udce9"),
    ValueError("x" * 10 * MEGABYTE),
    RecursionError(),
)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_whatever_a_function_raises_is_its_failure(error: BaseException, threaded: bool) -> None:
    async def on_the_loop() -> None:
        raise error

    def in_a_thread() -> None:
        raise error

    world = World(in_a_thread if threaded else on_the_loop, name="work")
    answer = check_element(await world.ask(call("{}", name="work")), "the answer")
    with pytest.raises(CommandFailedError) as caught:
        read_reply(answer)
    assert 0 < len(str(caught.value)) <= 2000
    assert world.results() == ["started", "failed"]
    again = await world.ask(call("{}", name="work"))
    assert [each.text for each in again] == [each.text for each in answer]


def _endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    "result", [object(), float("nan"), b"\xff", "x" * 10 * MEGABYTE, _endless(), {1: {object()}}]
)
async def test_a_result_that_cannot_be_sent_is_a_failure_that_says_so(result: object) -> None:
    world = World(lambda: result, name="work")
    with pytest.raises(CommandFailedError, match="it ran, but its result cannot be sent: result: "):
        read_reply(await world.ask(call("{}", name="work")))
    shown = await world.ask(command("execute", name="work"))
    assert note(shown)[0] == "error"
    reply = await chat_of(world).take(Message(sender=DESK, text="work"))
    assert reply is not None
    assert reply.startswith("work failed: it ran, but its result cannot be sent: ")


async def test_functions_that_never_end_keep_their_own_line_alone(valve: Valve) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    world = World(never, valve.open)
    stuck = [
        asyncio.create_task(world.ask(call("{}", name="never", id=str(number)))) for number in range(100)
    ]
    await until(lambda: sum(each.done() for each in stuck) == 100 - MOST_WAITING - 1)
    await still_works(world)
    closing = asyncio.create_task(_closed_soon(world))
    answers = await asyncio.gather(*stuck, return_exceptions=True)
    await closing
    assert sum(isinstance(each, StanzaError) for each in answers) == 99
    assert sum(isinstance(each, Element) for each in answers) == 1
    assert world.results().count("unknown") == 1


async def _closed_soon(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iotxmpp.serving.execution.PATIENCE", 0.02)
        await world.executor.close()
