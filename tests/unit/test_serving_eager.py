"""A task whose first step runs where it is started is like any other task."""

import asyncio
from contextvars import ContextVar

import pytest

from iotxmpp.commands import CommandSpec
from iotxmpp.eager import EagerTask
from iotxmpp.serving.command import Caller, Command
from iotxmpp.serving.execution import Executor

_word: ContextVar[str] = ContextVar("word", default="outer")


async def test_what_needs_not_wait_has_ended_when_it_was_begun() -> None:
    ran: list[str] = []

    async def work() -> str:
        ran.append("ran")
        return "result"

    eager = EagerTask(work(), name="work")
    assert ran == []
    eager.begin()
    assert ran == ["ran"]
    assert await eager.task == "result"


async def test_what_waits_goes_on_as_its_own_task() -> None:
    tasks: list[object] = []

    async def work() -> str:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        tasks.append(asyncio.current_task())
        return "result"

    outer = asyncio.current_task()
    eager = EagerTask(work(), name="work")
    eager.begin()
    assert asyncio.current_task() is outer
    assert tasks == [eager.task]
    assert await eager.task == "result"
    assert tasks == [eager.task] * 3
    assert "work" in repr(eager.task)


async def test_it_begins_outside_of_tasks_too() -> None:
    ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        ended.set_result(asyncio.current_task())

    eager = EagerTask(work(), name="work")
    asyncio.get_running_loop().call_soon(eager.begin)
    await eager.task
    assert ended.result() is eager.task


async def test_what_it_raises_is_its_tasks() -> None:
    async def work() -> None:
        raise ValueError("no")

    eager = EagerTask(work(), name="work")
    eager.begin()
    with pytest.raises(ValueError, match=r"^no$"):
        await eager.task


async def test_a_timeout_in_its_first_step_ends_what_it_waits_for_and_nothing_else() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            return "late"
        return "slept"

    eager = EagerTask(work(), name="work")
    eager.begin()
    await asyncio.sleep(0.05)
    assert eager.task.done()
    assert eager.task.result() == "late"


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_cancellation_reaches_what_it_waits_for(turns: int) -> None:
    inner: list[asyncio.Task[None]] = []
    told: list[str] = []

    async def work() -> None:
        inner.append(asyncio.create_task(asyncio.sleep(10)))
        try:
            await inner[0]
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    eager = EagerTask(work(), name="work")
    eager.begin()
    for _ in range(turns):
        await asyncio.sleep(0)
    eager.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await eager.task
    assert inner[0].cancelled()
    assert told == ["cancelled"]


async def test_a_cancellation_after_its_end_is_too_late() -> None:
    async def work() -> str:
        return "result"

    eager = EagerTask(work(), name="work")
    eager.begin()
    eager.task.cancel()
    assert await eager.task == "result"


async def test_it_is_cancelled_at_a_bare_yield() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(10)

    eager = EagerTask(work(), name="work")
    eager.begin()
    eager.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await eager.task


async def test_its_context_is_its_own_from_the_first_step() -> None:
    async def work() -> str:
        _word.set("inner")
        await asyncio.sleep(0)
        return _word.get()

    eager = EagerTask(work(), name="work")
    eager.begin()
    assert _word.get() == "outer"
    assert await eager.task == "inner"


async def test_a_command_that_needs_not_wait_costs_no_turn_of_the_loop() -> None:
    async def ping() -> str:
        return "pong"

    command = Command(spec=CommandSpec.from_function(ping, idempotent=True), function=ping)
    caller = Caller(jid="house@example.org/desk", by="house@example.org", role="operator", door="machine")
    executor = Executor(None)
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "turn")
    outcome = await executor.execute(caller, command, id="c1", arguments=None)
    assert outcome.result_json == '"pong"'
    assert turns == []
    await executor.close()
