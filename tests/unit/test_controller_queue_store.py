"""The queue of commands when the store fails, and when the controller ends or is killed."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from iotxmpp import crashpoints
from iotxmpp.controller import Controller
from iotxmpp.controller.queued import CommandState, QueuedCommand
from iotxmpp.errors import NoAnswerError, StoreError
from tests.unit.controller_world import HOUSE, SOON
from tests.unit.queue_case import Case, Journaled


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
