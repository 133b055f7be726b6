"""Idempotent calls that ended are known for a while; what could not be written down may come again."""

import asyncio

import pytest

from iotxmpp.commands import Outcome, call_element, cancel_element, read_reply
from iotxmpp.errors import CommandCancelledError, StanzaError, StoreError
from iotxmpp.serving import ended, outcomes
from iotxmpp.serving.audit import AuditEntry
from iotxmpp.serving.journal import MemoryJournal
from tests.unit.agent_house import until
from tests.unit.serving_world import World, caller_of
from tests.unit.test_serving import Gate, counter

NO_SESSION = "{http://jabber.org/protocol/commands}bad-sessionid"
TOO_LATE = "{http://jabber.org/protocol/commands}bad-action"


async def cancelling(world: World, call_id: str, name: str = "count") -> StanzaError:
    with pytest.raises(StanzaError) as caught:
        await world.ask(cancel_element(name, id=call_id))
    return caught.value


async def test_an_idempotent_call_that_ran_is_not_cancelled() -> None:
    ran, count = counter()
    world = World(count, idempotent=True)
    await world.execute("count")
    assert (await cancelling(world, "c")).detail == TOO_LATE
    assert (await world.execute("count")).kind == "done"
    assert ran == [0, 0]


async def test_an_idempotent_call_that_nobody_knows_is_not_cancelled() -> None:
    ran, count = counter()
    world = World(count, idempotent=True)
    await world.execute("count")
    world.serve()  # as after a restart
    refused = await cancelling(world, "c")
    assert refused.detail == NO_SESSION
    assert "no such call to cancel" in refused.text
    assert (await cancelling(world, "c")).detail == NO_SESSION
    again = await world.execute("count")
    assert (again.kind, again.text) == ("unknown", outcomes.BARRED.text)
    assert len(ran) == 1
    assert "cancelled" not in world.results()


async def test_an_idempotent_call_that_waits_is_cancelled_and_stays_so() -> None:
    gate = Gate()
    world = World(gate.work, idempotent=True)
    running = asyncio.create_task(world.execute("work", "1"))
    waiting = asyncio.create_task(world.execute("work", "2"))
    await until(lambda: bool(gate.ran))
    assert (await cancelling(world, "1", "work")).detail == TOO_LATE
    for _ in range(2):
        with pytest.raises(CommandCancelledError):
            read_reply(await world.ask(cancel_element("work", id="2")))
    gate.open.set()
    assert ((await running).kind, (await waiting).kind) == ("done", "cancelled")
    assert (await world.execute("work", "2")).kind == "cancelled"
    assert gate.ran == [0]


async def test_one_idempotent_id_is_one_call() -> None:
    ran, count = counter()
    world = World(count, idempotent=True)
    await world.execute("count", arguments={"number": 1})
    assert (await world.execute("count", arguments={"number": 2})).condition == "conflict"
    assert (await world.execute("count", arguments={"number": 1})).kind == "done"
    other = caller_of("other@example.org/1")
    assert (await world.execute("count", arguments={"number": 3}, caller=other)).kind == "done"
    assert ran == [1, 1, 3]


async def test_so_many_ended_calls_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "MOST", 3)
    _, count = counter()
    world = World(count, idempotent=True)
    for number in range(4):
        await world.execute("count", str(number))
    assert [(await cancelling(world, str(number))).detail for number in (3, 2, 1, 0)] == 3 * [TOO_LATE] + [
        NO_SESSION
    ]


@pytest.mark.parametrize("idempotent", [False, True])
async def test_refusals_come_in_the_order_of_the_protocol(idempotent: bool) -> None:
    """Section 9.3: an id of another call, wrong arguments, the expiry."""
    _, count = counter()
    world = World(count, idempotent=idempotent)
    await world.execute("count", arguments={"number": 1})
    wrong = {"number": "none"}
    assert (await world.execute("count", arguments=wrong, expires=999.0)).condition == "conflict"
    refused = await world.execute("count", "new", arguments=wrong, expires=999.0)
    assert refused.condition == "bad-request/bad-payload"
    assert (await world.execute("count", "new", expires=999.0)).kind == "expired"


class FullDisk:
    """A disk that has no room for the audit, as long as `full`."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        self._append = world._audit.append
        monkeypatch.setattr(world._audit, "append", self.append)

    def append(self, entry: AuditEntry) -> int:
        if self.full:
            raise StoreError("audit log: the disk is full; make room")
        return self._append(entry)


@pytest.mark.parametrize("idempotent", [False, True])
async def test_what_could_not_be_written_down_may_come_again(
    idempotent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, count = counter()
    world = World(count, idempotent=idempotent)
    disk = FullDisk(world, monkeypatch)
    for _ in range(2):
        with pytest.raises(StanzaError, match="the disk is full") as caught:
            await world.ask(call_element("count", {}, id="c"))
        assert caught.value.condition == "resource-constraint"
    disk.full = False
    assert read_reply(await world.ask(call_element("count", {}, id="c"))) == 1
    assert ran == [0]


class ForgetsNothing(MemoryJournal):
    """A journal that cannot be written once something was begun."""

    async def forget(self, caller: str, id: str) -> None:  # noqa: A002  # as in the journal
        raise StoreError("journal: the disk is full; make room")

    async def finish(self, caller: str, id: str, outcome: Outcome) -> None:  # noqa: A002  # as in the journal
        raise StoreError("journal: the disk is full; make room")


async def test_what_cannot_even_be_taken_back_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, count = counter()
    world = World(count, journal=ForgetsNothing())
    disk = FullDisk(world, monkeypatch)
    assert (await world.execute("count")).condition == "resource-constraint"
    assert "the disk is full" in world.problems.texts["journal"]
    disk.full = False
    assert (await world.execute("count")).kind == "unknown"
    assert ran == []
