"""What a running agent refuses is written down, at every door; and too many messages are told so."""

import asyncio
import json
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.access import Access, Grant
from iotxmpp.agent import commanding
from iotxmpp.commands import call_element
from iotxmpp.delivery import Ack
from iotxmpp.errors import ForbiddenError, StanzaError
from iotxmpp.link import Message, Presence
from iotxmpp.serving import audit
from iotxmpp.serving.audit import AuditEntry
from iotxmpp.serving.auditcheck import entries
from iotxmpp.serving.chat import BUSY
from iotxmpp.twin import DESIRED_TAG, Desired
from tests.unit.agent_house import CONTROLLER, House, account, until

STRANGER = "stranger@example.org"


async def session(house: House) -> str:
    await until(lambda: bool(house.presences))
    return house.presences[-1].sender


def written(folder: Path) -> list[tuple[str, str, str, str]]:
    """The lines of the device's log, without what only the chain knows."""
    lines = list(entries(folder / "outbox.audit.log"))
    assert all(each["by"] in {each["who"].partition("/")[0], ""} for each in lines)
    return [(each["who"].partition("/")[0], each["door"], each["result"], each["text"]) for each in lines]


async def test_settings_and_acks_of_others_are_written_down(house: House, tmp_path: Path) -> None:
    desired = Desired(lineage="a", version=1, changes={"x": 1}).element()
    async with house.agent(outbox=tmp_path / "outbox.db"), house.server.link(account("stranger")) as stranger:
        device = await session(house)
        for element in (desired, Ack(upto={}).element()):
            with pytest.raises(ForbiddenError):
                await stranger.call(device, element)
    assert written(tmp_path) == [
        (STRANGER, "twin", "refused", "desired settings; it is not the collector"),
        (STRANGER, "acks", "refused", "an ack; it is not the collector"),
    ]


async def test_what_the_collector_desires_is_written_down_with_its_result(
    house: House, tmp_path: Path
) -> None:
    agent = house.agent(outbox=tmp_path / "outbox.db")

    @agent.setting("lamp")
    def lamp(percent: int = 0) -> None:
        assert percent <= 100

    async with agent:
        device = await session(house)

        async def desire(version: int, percent: int) -> None:
            before = len(written(tmp_path)) if version > 1 else 0
            changes = {"lamp": percent}
            await house.watcher.call(device, Desired(lineage="a", version=version, changes=changes).element())
            await until(lambda: len(written(tmp_path)) == before + 2)

        await desire(1, 5)
        await desire(2, 500)
        with pytest.raises(StanzaError, match="send all"):  # no refusal
            await house.watcher.call(
                device, Desired(lineage="a", version=9, base=8, changes={"lamp": 1}).element()
            )
        with pytest.raises(StanzaError):
            await house.watcher.call(device, Element(DESIRED_TAG))
        with pytest.raises(StanzaError):
            await house.watcher.call(device, Ack(upto={}).element(), kind="get")
    lines = list(entries(tmp_path / "outbox.audit.log"))
    assert {each["by"] for each in lines} == {CONTROLLER}
    assert [(each["id"], each["door"], each["result"]) for each in lines] == [
        ("a.1", "twin", "started"),
        ("a.1", "twin", "done"),
        ("a.2", "twin", "started"),
        ("a.2", "twin", "failed"),
        ("", "twin", "refused"),
        ("", "acks", "refused"),
    ]
    assert json.loads(lines[0]["arguments"]) == {"version": 1, "base": 0, "keys": ["lamp"]}
    assert lines[3]["text"].startswith("lamp: AssertionError")


async def test_settings_that_cannot_be_written_down_are_not_taken(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_log: object, _entry: AuditEntry) -> None:
        raise OSError(28, "No space left on device")

    set_to: list[int] = []
    agent = house.agent(outbox=tmp_path / "outbox.db")

    @agent.setting("lamp")
    def lamp(percent: int = 0) -> None:
        set_to.append(percent)

    async with agent:
        device = await session(house)
        desired = Desired(lineage="a", version=1, changes={"lamp": 7}).element()
        with monkeypatch.context() as patch:
            patch.setattr(audit.AuditLog, "_write", full)
            with pytest.raises(StanzaError, match="No space left"):
                await house.watcher.call(device, desired)
        assert set_to == [0]
        await house.watcher.call(device, desired)
        await until(lambda: set_to == [0, 7])


async def test_a_command_that_there_is_not_is_written_down(house: House, tmp_path: Path) -> None:
    agent = house.agent(outbox=tmp_path / "outbox.db")
    async with agent:
        with pytest.raises(StanzaError, match="no command"):
            await house.watcher.call(await session(house), call_element("pong", {"a": 1}, id="c"))
    (line,) = entries(tmp_path / "outbox.audit.log")
    told = (line["by"], line["command"], line["id"], line["door"], line["result"], line["arguments"])
    assert told == (CONTROLLER, "pong", "c", "machine", "refused", '{"a":1}')


async def test_a_flood_is_counted_when_the_agent_ends(house: House, tmp_path: Path) -> None:
    agent = house.agent(outbox=tmp_path / "outbox.db")
    async with agent, house.server.link(account("stranger")) as stranger:
        device = await session(house)
        for _ in range(20):
            with pytest.raises(ForbiddenError):
                await stranger.call(device, Ack(upto={}).element())
    *lines, count = written(tmp_path)
    assert len(lines) == 6
    assert count == (STRANGER, "", "refused", "14 more refusals of this account within 60 s")


async def test_too_many_messages_at_once_are_answered_and_strangers_are_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commanding, "MOST_CHATS", 2)
    answers: list[str] = []
    unanswered: list[str] = []

    async def take(message: Message) -> None:
        answers.append(message.text)

    async def take_unanswered(message: Message) -> None:
        unanswered.append(message.text)

    go, ran = asyncio.Event(), list[int]()
    house.watcher.on_message(take)
    agent = house.agent(
        outbox="memory", access=Access([Grant(who=CONTROLLER.partition("/")[0], role="maintainer")])
    )

    @agent.command
    async def hold() -> str:
        ran.append(1)
        await go.wait()
        return "held"

    async with agent, house.server.link(account("stranger")) as stranger:
        device = await session(house)
        stranger.on_message(take_unanswered)
        for _ in range(13):  # three more than one account may write
            await house.watcher.send(device, Message(text="hold"))
        await until(lambda: len(answers) == 9)
        assert (answers[:8], len(ran)) == ([BUSY] * 8, 1)
        assert answers[8].startswith("That was too much")
        await stranger.send(device, Message(text="hold"))
        await asyncio.sleep(0.05)
        go.set()
        await until(lambda: len(answers) == 11)
    assert answers[9:] == ["held"] * 2
    assert unanswered == []


async def test_a_contact_from_before_without_a_role_sees_nothing(house: House) -> None:
    seen: list[Presence] = []

    async def take(presence: Presence) -> None:
        seen.append(presence)

    async with house.server.link(account("stranger")) as friend:
        friend.on_presence(take)
        async with house.server.link(account("greenhouse")) as before:
            before.admit(lambda _jid: True)
            await before.announce(Presence(text="before"))
            await friend.follow("greenhouse@example.org")
            await until(lambda: any(each.text == "before" for each in seen))
            old = before.jid
        async with house.agent(outbox="memory"):
            await until(lambda: any(each.available and each.sender != old for each in house.presences))
    assert {each.sender for each in seen} == {old}
