"""A call that comes again after it was started: nothing says that it was not."""

import asyncio

from iotxmpp.commands import Outcome, fingerprint
from iotxmpp.errors import StoreError
from iotxmpp.serving.journal import MemoryJournal
from tests.unit.agent_house import until
from tests.unit.serving_world import CONTROLLER, DESK, World, caller_of


class HeldJournal(MemoryJournal):
    """A journal whose look-ups take long, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.looked = 0
        self.broken = False

    async def find(self, caller: str, id: str, fingerprint: str) -> Outcome | None:  # noqa: A002  # as in the journal
        self.looked += 1
        await self.free.wait()
        if self.broken:
            raise StoreError("journal: the disk fails")
        return await super().find(caller, id, fingerprint)


async def started_before(journal: HeldJournal, ran: list[int]) -> World:
    """A device that was killed while it carried out the call `c`."""

    def act() -> None:
        ran.append(1)

    world = World(act, journal=journal)
    await journal.begin(CONTROLLER, "c", "act", fingerprint("act", {}), None)
    return world


async def test_cancelling_it_while_it_is_looked_up_does_not_make_it_cancelled() -> None:
    journal, ran = HeldJournal(), list[int]()
    world = await started_before(journal, ran)
    world.time = 1000.0
    again = asyncio.create_task(world.execute("act", expires=999.0))
    await until(lambda: journal.looked == 1)
    cancelled = await world.executor.cancel(caller_of(DESK), world.commands["act"], id="c")
    journal.free.set()
    assert (await again).kind == "unknown"
    assert cancelled is not None
    assert cancelled.kind == "unknown"
    assert ran == []


async def test_with_a_journal_that_cannot_be_read_it_has_not_expired() -> None:
    journal, ran = HeldJournal(), list[int]()
    journal.broken = True
    journal.free.set()
    world = await started_before(journal, ran)
    again = await world.execute("act", expires=999.0)
    assert (again.kind, again.condition) == ("rejected", "resource-constraint")
    assert "the disk fails" in world.problems.texts["journal"]
    journal.broken = False
    assert (await world.execute("act", expires=999.0)).kind == "unknown"
    assert (await world.execute("act", "new", expires=999.0)).kind == "expired"
    assert ran == []
