"""An id stands for one call: what is no JSON object, and another command's name, make another one."""

import asyncio
import json

import pytest

from iotxmpp.commands import cancel_element
from iotxmpp.errors import StanzaError
from iotxmpp.serving.audit import AuditEntry
from tests.unit.agent_house import until
from tests.unit.serving_world import World
from tests.unit.test_serving import Gate

DEEP = "[" * 500 + "]" * 500

UNREADABLE = {
    "no JSON": "{",
    "a list": "[1]",
    "a number": "7",
    "deep": DEEP,
    "deep in an object": f'{{"text": {DEEP}}}',
    "1 MB": json.dumps({"text": "x" * 2**20}),
    "NaN": '{"text": NaN}',
    "a key twice": '{"text": "b", "text": "a"}',
    "a list in an object": '{"text": ["a"]}',
    "half a character": '{"text": "\ud800"}',
    "nothing": "",
}


def doser() -> tuple[list[str], World]:
    ran: list[str] = []

    def dose(text: str) -> str:
        ran.append(text)
        return text

    def echo(text: str) -> str:
        ran.append(text)
        return text

    world = World(dose)
    world.commands |= World(echo, idempotent=True).commands
    world.serve()
    return ran, world


def last(world: World) -> AuditEntry:
    return world.audit.entries[-1]


@pytest.mark.parametrize("given", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("name", ["dose", "echo"])
async def test_what_cannot_be_read_is_no_call_that_was(given: str, restarted: bool, name: str) -> None:
    ran, world = doser()
    assert (await world.execute(name, arguments='{"text": "a"}')).result_json == '"a"'
    if restarted:
        world.serve()
    refused = await world.execute(name, arguments=given)
    assert refused.condition in {"conflict", "bad-request/bad-payload"}
    assert refused.condition == "conflict" or (restarted and name == "echo")
    assert (last(world).result, last(world).id, last(world).command) == ("rejected", "c", name)
    assert (await world.execute(name, "new", arguments=given)).condition == "bad-request/bad-payload"
    assert ran == ["a"]


async def test_the_same_in_another_order_is_the_same() -> None:
    world = World(lambda: None, name="none")
    assert (await world.execute("none", arguments="{}")).kind == "done"
    assert (await world.execute("none", arguments=" { } ")).kind == "done"
    assert world.results() == ["started", "done"]


@pytest.mark.parametrize(("first", "second"), [("dose", "echo"), ("echo", "dose")])
async def test_an_id_of_the_other_kind_of_command_is_a_conflict(first: str, second: str) -> None:
    ran, world = doser()
    await world.execute(first, arguments={"text": "a"})
    refused = await world.execute(second, arguments={"text": "a"})
    assert refused.condition == "conflict"
    assert last(world).result == "rejected"
    assert ran == ["a"]


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_call_is_cancelled_under_its_own_name_alone(idempotent: bool) -> None:
    gate = Gate()
    world = World(gate.work, idempotent=idempotent)
    world.commands |= World(lambda: None, name="other").commands
    world.commands |= World(lambda: None, name="again", idempotent=True).commands
    world.serve()
    running = asyncio.create_task(world.execute("work", "1"))
    waiting = asyncio.create_task(world.execute("work", "2"))
    await until(lambda: bool(gate.ran))
    for name in ("other", "again"):
        for call_id in ("1", "2"):
            with pytest.raises(StanzaError) as caught:
                await world.ask(cancel_element(name, id=call_id))
            assert caught.value.condition == "conflict"
            assert last(world).result == "rejected"
    gate.open.set()
    assert ((await running).kind, (await waiting).kind) == ("done", "done")
    for name in ("other", "again"):
        with pytest.raises(StanzaError) as caught:
            await world.ask(cancel_element(name, id="2"))
        assert caught.value.condition == "conflict"
