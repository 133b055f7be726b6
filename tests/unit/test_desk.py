"""The controller's desk: people queue, see and cancel commands of devices, each as far as they may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.cli.by_desk import Waits
from iotxmpp.cli.call_where import Many, _call_where
from iotxmpp.commands import COMMAND_TAG
from iotxmpp.controller import Controller, desk_client
from iotxmpp.controller.desk_client import ask_desk, call_by_desk, find_controller
from iotxmpp.controller.store import audit_place
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandExpiredError,
    DeviceAwayError,
    NotAllowedError,
    UnknownCommandError,
    UnreachableError,
)
from iotxmpp.fleet import controller_element
from iotxmpp.link import Message, Presence
from iotxmpp.serving.auditcheck import entries, verify
from iotxmpp.where import parse_where
from tests.unit.controller_world import HOUSE, SOON, account, until
from tests.unit.desk_case import ACCESS, Case, open_desk_case


@pytest.fixture
async def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    monkeypatch.setattr(desk_client, "GRACE", 2.0)
    async with open_desk_case(tmp_path) as case:
        yield case


async def test_a_person_calls_a_device_through_the_controller(case: Case) -> None:
    link, desk = await case.come("ann")
    assert desk.startswith(f"{HOUSE}/")
    assert await call_by_desk(link, desk, "hall", "water", {"seconds": 20}, ttl="1m") == "watered"
    (call,) = case.calls
    assert (call.by, call.arguments_json) == ("ann@localhost", '{"seconds":20}')


async def test_the_controllers_own_account_may_do_everything(case: Case) -> None:
    link = case.world.server.link(account(HOUSE))
    await case.stack.enter_async_context(link)
    desk = case.controller._running()._link.jid
    assert await call_by_desk(link, desk, "hall", "reset", {}, ttl=60) == "watered"
    assert case.calls[0].by == HOUSE


async def test_what_waits_is_listed_shown_and_cancelled(case: Case) -> None:
    await case.away()
    queued = await case.ask("ann", "call", device="hall", command="water", arguments={"n": 1}, ttl="6h")
    assert (queued["state"], queued["by"], queued["arguments"]) == ("queued", "ann@localhost", {"n": 1})
    assert await case.ask("ann", "commands") == [queued]
    assert await case.ask("olaf", "commands", device="hall", state="queued") == [queued]
    assert await case.ask("olaf", "commands", state="done") == []
    assert await case.ask("ann", "command", id=queued["id"]) == queued
    answer = await case.ask("ann", "cancel", id=queued["id"])
    assert (answer["cancelled"], answer["command"]["state"]) == (True, "cancelled")


async def test_the_same_id_twice_is_one_command(case: Case) -> None:
    await case.away()
    for _ in range(2):
        await case.ask("ann", "call", device="hall", command="water", arguments={"n": 1}, id="mine")
    assert len(await case.controller.commands()) == 1
    with pytest.raises(CommandError, match="stands for another"):
        await case.ask("ann", "call", device="hall", command="water", arguments={"n": 2}, id="mine")


async def test_a_command_that_expires_is_told_to_who_called(case: Case) -> None:
    await case.away()
    link, desk = await case.come("ann")
    with pytest.raises(CommandExpiredError, match="never sent"):
        await call_by_desk(link, desk, "hall", "water", {}, ttl=0.2)


@pytest.mark.parametrize(
    ("who", "called", "why", "error"),
    [
        ("ann", "hall reset", "reset asks for maintainer", NotAllowedError),
        ("ann", "barn water", "has no role on barn", NotAllowedError),
        ("olaf", "hall water", "water asks for operator", NotAllowedError),
        ("bert", "hall water", "has no role on hall", NotAllowedError),
        ("ann", "hall fly", "fly asks for maintainer", NotAllowedError),
        ("house", "hall fly", "hall has no command 'fly'; it has: reset, water", UnknownCommandError),
        ("house", "barn water", "barn", UnknownCommandError),
    ],
)
async def test_who_may_not_is_refused_and_nothing_is_queued(
    case: Case, who: str, called: str, why: str, error: type[CommandError]
) -> None:
    device, command = called.split()
    with pytest.raises(error, match=why):
        await case.ask(who, "call", device=device, command=command)
    assert await case.controller.commands() == []
    assert case.calls == []


async def test_others_commands_are_neither_seen_nor_cancelled(case: Case) -> None:
    await case.away()
    queued = await case.ask("ann", "call", device="hall", command="water", ttl="6h")
    assert await case.ask("bert", "commands") == []
    for name in ("command", "cancel"):
        with pytest.raises(UnknownCommandError, match="no command"):
            await case.ask("bert", name, id=queued["id"])
    with pytest.raises(NotAllowedError, match="asks for operator"):
        await case.ask("olaf", "cancel", id=queued["id"])
    assert (await case.controller.commands())[0].state == "queued"


async def test_a_stranger_finds_no_controller_and_is_refused(case: Case) -> None:
    link = await case.link("stranger")
    with pytest.raises(DeviceAwayError, match="no controller runs as house@localhost, or this account"):
        await find_controller(link, HOUSE, 0.1)
    with pytest.raises(NotAllowedError):
        await ask_desk(link, case.controller._running()._link.jid, "commands", {})


@pytest.mark.parametrize(
    "arguments",
    [
        {"device": "hall", "command": "water", "ttl": "soon"},
        {"device": "hall", "command": "water", "ttl": "400d"},
        {"device": "hall", "command": "water", "id": "a b"},
        {"device": "hall", "command": "water", "id": "x" * 65},
        {"device": "hall", "command": "water", "arguments": [1]},
        {"device": "hall"},
        {"device": "hall", "command": "water", "more": 1},
    ],
)
async def test_what_cannot_be_is_told_as_wrong_arguments(case: Case, arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentsError):
        await case.ask("ann", "call", **arguments)
    with pytest.raises(ArgumentsError, match="use one of queued"):
        await case.ask("ann", "commands", state="odd")


async def test_what_was_asked_and_refused_stands_in_the_audit_log(case: Case) -> None:
    link, desk = await case.come("ann")
    await call_by_desk(link, desk, "hall", "water", {"n": 7}, ttl="1m")
    with pytest.raises(NotAllowedError):
        await ask_desk(await case.link("stranger"), desk, "commands", {})
    path = audit_place(f"sqlite:///{case.store}", HOUSE)
    assert path == case.store.with_name("controller.audit.log")
    found = [each for each in entries(path) if each["command"] in {"call", "commands"}]
    results = [(each["who"].partition("/")[0], each["result"]) for each in found]
    assert results[:2] == [("ann@localhost", "started"), ("ann@localhost", "done")]
    assert results[-1] == ("stranger@localhost", "refused")
    assert '"n":7' in found[0]["arguments"].replace(" ", "")
    assert verify(path).ok


async def test_an_audit_log_that_is_in_use_closes_the_desk_and_nothing_else(
    case: Case, tmp_path: Path
) -> None:
    link = case.world.server.link(account(HOUSE))
    async with link, Controller(HOUSE, link=link, store=f"sqlite:///{case.store}") as second:
        assert (await second.wait_for("hall", timeout=SOON)).online
        ann = await case.link("ann")
        with pytest.raises(UnreachableError):
            await ann.call(link.jid, Element(COMMAND_TAG, {"node": "commands"}))


def test_where_the_audit_log_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path))
    assert audit_place("sqlite://", HOUSE) is None
    assert audit_place("sqlite:///:memory:", HOUSE) is None
    assert audit_place("sqlite:////var/x/house.db?mode=rw", HOUSE) == Path("/var/x/house.audit.log")
    assert audit_place("postgresql://me@there/x", HOUSE) == tmp_path / "controller.audit.log"


async def test_looking_for_the_desk_disturbs_nothing_of_the_session_that_looks(case: Case) -> None:
    changes: list[str] = []
    seen: list[Presence] = []

    async def see(presence: Presence) -> None:
        seen.append(presence)

    link = await case.stack.enter_async_context(case.world.server.link(account(HOUSE)))
    watching = Controller(HOUSE, link=link, collects=False, discover_every=60)
    watching.on_liveness(lambda device: changes.append(device.state))
    async with watching:
        await watching.wait_for("hall", timeout=SOON)
        await until(lambda: changes == ["online"])
        other = await case.stack.enter_async_context(case.world.server.link(account(HOUSE)))
        other.on_presence(see)
        assert await find_controller(link, HOUSE, SOON) == case.controller._running()._link.jid
        assert await call_by_desk(link, await find_controller(link, HOUSE, SOON), "hall", "water", {}, ttl=60)
        assert [each for each in seen if each.sender == link.jid and not each.available] == []
        assert changes == ["online"]
        assert watching.device("hall").online


async def test_who_looks_for_the_desk_subscribes_to_nothing_and_a_stranger_hears_nothing(case: Case) -> None:
    heard: list[Message] = []

    async def hear(message: Message) -> None:
        heard.append(message)

    stranger, (ann, _) = await case.link("stranger"), await case.come("ann")
    stranger.on_message(hear)
    with pytest.raises(DeviceAwayError):
        await find_controller(stranger, HOUSE, 0.1)
    assert heard == []
    assert case.world.server._hub.rosters.followed_by(ann.jid.partition("/")[0]) == []


async def test_a_controller_that_comes_later_is_found(case: Case) -> None:
    link = await case.link("ann")
    await case.controller.__aexit__(None, None, None)
    search = asyncio.create_task(find_controller(link, HOUSE, SOON))
    await asyncio.sleep(0.05)
    assert not search.done()
    made = await case.world.controller(discover_every=60, store=f"sqlite:///{case.store}", access=ACCESS)
    async with made as later:
        assert await search == later._running()._link.jid


async def test_many_devices_are_called_through_the_desk(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("iotxmpp.xmpp.XmppLink", case.world.server.link)
    many = Many(
        where=parse_where("id=hall"),
        command="water",
        given={},
        max_in_flight=1,
        stop_after_failures=None,
        timeout=SOON,
        settle=SOON,
        dry_run=False,
        as_json=False,
    )
    waits = Waits(ttl="1m", controller=HOUSE)
    assert await _call_where(account(HOUSE), many, None, waits) == 0
    assert capsys.readouterr().out == "hall  done: watered\n"
    assert [each.state for each in await case.controller.commands()] == ["done"]


async def test_a_session_that_is_shown_and_does_not_answer_is_no_controller(case: Case) -> None:
    await case.controller.__aexit__(None, None, None)
    killed, link = [
        await case.stack.enter_async_context(case.world.server.link(account(HOUSE))) for _ in range(2)
    ]
    search = asyncio.create_task(find_controller(link, HOUSE, 0.3))
    await asyncio.sleep(0.05)
    await killed.announce(Presence(extensions=(controller_element(),)))
    with pytest.raises(DeviceAwayError):
        await search
