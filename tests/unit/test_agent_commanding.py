"""A running agent's doors: what people and machines can do with it, and what it remembers."""

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.access import Access, Grant
from iotxmpp.commands import COMMAND_TAG, Outcome, call_element, read_reply
from iotxmpp.errors import ForbiddenError, InvalidError, StanzaError
from iotxmpp.link import COMMANDS, Message
from iotxmpp.serving.alarms import AUTOMATIC
from iotxmpp.serving.auditcheck import entries, verify
from iotxmpp.serving.filejournal import SqliteJournal
from tests.unit.agent_house import CONTROLLER, House, account, until

FRIEND = "stranger@example.org"


OBSERVER = Access([Grant(who=FRIEND, role="observer")])


class Lamp:
    """Switches."""

    def __init__(self) -> None:
        self.on: list[bool] = []

    def switch(self, on: bool) -> bool:
        """Switches the lamp."""
        self.on.append(on)
        return on


async def ask(house: House, element: Element, by: Any = None) -> Element | None:  # noqa: ANN401  # a link
    await until(lambda: bool(house.presences))
    answer: Element | None = await (by or house.watcher).call(house.presences[-1].sender, element)
    return answer


async def test_a_call_is_remembered_over_a_restart(house: House, tmp_path: Path) -> None:
    lamp = Lamp()
    for _ in range(2):
        agent = house.agent(outbox=tmp_path / "outbox.db")
        agent.command(lamp.switch)
        house.presences.clear()
        async with agent:
            assert read_reply(await ask(house, call_element("switch", {"on": True}, id="c"))) is True
    assert lamp.on == [True]
    assert (tmp_path / "outbox.commands.db").exists()
    verdict = verify(tmp_path / "outbox.audit.log")
    assert verdict.ok
    assert verdict.lines >= 2


async def test_a_damaged_journal_is_a_problem_and_idempotent_commands_go_on(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "outbox.commands.db").write_bytes(b"damaged " * 1000)
    lamp = Lamp()
    agent = house.agent(outbox=tmp_path / "outbox.db")
    agent.command(lamp.switch)
    agent.command(name="again", idempotent=True)(lambda: "pong")
    async with agent:
        await until(lambda: any("is damaged" in each for each in house.problems))
        with pytest.raises(StanzaError, match="must not run twice") as caught:
            await ask(house, call_element("switch", {"on": True}, id="c"))
        assert caught.value.condition == "resource-constraint"
        assert await house.call("again") == "pong"
    assert lamp.on == []


@pytest.mark.parametrize("outbox", ["memory", "outbox.db"])
async def test_an_agent_without_commands_refuses_calls_and_writes_that_down(
    house: House, tmp_path: Path, outbox: str
) -> None:
    agent = house.agent(outbox=outbox if outbox == "memory" else tmp_path / outbox)
    async with agent, house.server.link(account("stranger")) as friend:
        with pytest.raises(StanzaError, match="switch") as caught:
            await house.call("switch", {"on": True})
        assert caught.value.condition == "item-not-found"
        with pytest.raises(StanzaError, match="does not obey you"):
            await house.call("switch", {"on": True}, by=friend)
        query = Element("{http://jabber.org/protocol/disco#items}query", {"node": COMMANDS})
        listed = await house.watcher.call(house.presences[-1].sender, query, kind="get")
        assert listed is not None
        assert list(listed) == []
    if outbox != "memory":
        refused = [each["who"].partition("/")[0] for each in entries(tmp_path / "outbox.audit.log")]
        assert refused == [CONTROLLER, FRIEND]


async def test_roles_hold_at_the_device(house: House) -> None:
    lamp = Lamp()
    async with house.server.link(account("stranger")) as friend:
        agent = house.agent(access=OBSERVER, outbox="memory")
        agent.command(lamp.switch)
        agent.command(name="look", role="observer")(lambda: "dark")
        async with agent:
            assert await house.call("look", by=friend) == "dark"
            with pytest.raises(ForbiddenError, match="asks for operator"):
                await house.call("switch", {"on": True}, by=friend)
            assert await house.call("switch", {"on": True}) is True
    assert lamp.on == [True]


async def test_a_person_gets_a_form(house: House) -> None:
    agent = house.agent(outbox="memory")
    agent.command(Lamp().switch)
    async with agent:
        shown = await ask(house, Element(COMMAND_TAG, {"node": "switch", "action": "execute"}))
        assert shown is not None
        assert shown.get("status") == "executing"
        assert shown.find("{jabber:x:data}x") is not None


async def test_who_writes_to_it_is_answered_and_a_stranger_is_not(house: House) -> None:
    lamp = Lamp()
    answers: list[Message] = []
    unanswered: list[Message] = []

    async def take(message: Message) -> None:
        answers.append(message)

    async def take_unanswered(message: Message) -> None:
        unanswered.append(message)

    async with house.server.link(account("stranger")) as stranger:
        house.watcher.on_message(take)
        stranger.on_message(take_unanswered)
        agent = house.agent(outbox="memory")
        agent.command(lamp.switch)
        agent.channel("level", type="float", unit="Cel")
        async with agent:
            await agent.publish("level", 21.5)
            await until(lambda: bool(house.presences))
            device = house.presences[-1].sender
            await stranger.send(device, Message(text="switch on=true"))
            for number, text in enumerate(("switch on=true", "status"), 1):
                await house.watcher.send(device, Message(text=text))
                await until(lambda number=number: len(answers) == number)  # type: ignore[misc]  # bound now
    assert lamp.on == [True]
    says = answers[1].text.splitlines()
    assert re.fullmatch(r"greenhouse is online, up for \d s", says[0])
    assert says[1] == "level: 21.5 Cel"
    assert re.fullmatch(r"outbox: (empty,|1 reading waiting) in memory", says[2])
    assert says[3:] == ["no problems"]
    assert [[each.tag for each in answer.extensions] for answer in answers] == [[AUTOMATIC], [AUTOMATIC]]
    assert unanswered == []


async def test_an_alarm_reaches_the_people(house: House) -> None:
    got: list[Message] = []

    async def take(message: Message) -> None:
        got.append(message)

    house.watcher.on_message(take)
    agent = house.agent(outbox="memory", people=[CONTROLLER, "House@example.org/phone"])
    with pytest.raises(InvalidError, match="does not run"):
        await agent.alarm("too early")
    async with agent:
        assert await agent.alarm("31 Cel", key="too hot") == 1
        assert await agent.alarm("32 Cel", key="too hot") == 0
        await until(lambda: bool(got))
        house.server.drop("greenhouse@example.org", back_after=None)
        assert await agent.alarm("the link is down") == 0
    assert [(each.text, each.kind) for each in got] == [("31 Cel", "chat")]
    assert got[0].sender.startswith("greenhouse@example.org/")
    assert [each.tag for each in got[0].extensions] == [AUTOMATIC]


async def test_an_alarm_without_people_says_so(house: House) -> None:
    async with house.agent(outbox="memory") as agent:
        with pytest.raises(InvalidError, match=r"reaches nobody; give the agent people="):
            await agent.alarm("31 Cel")


async def test_people_are_accounts(house: House) -> None:
    with pytest.raises(InvalidError, match="people: "):
        house.agent(people=["nobody at all"])


async def test_after_a_restart_people_are_told_of_what_they_wrote_and_nobody_knows(
    house: House, tmp_path: Path
) -> None:
    journal = SqliteJournal(tmp_path / "outbox.commands.db")
    await journal.open()
    for caller, id_ in ((CONTROLLER, "chat-1"), (CONTROLLER, "of a program"), (FRIEND, "chat-2")):
        await journal.begin(caller, id_, "switch", "f", None)
    await journal.begin(CONTROLLER, "chat-3", "switch", "f", None)
    await journal.finish(CONTROLLER, "chat-3", Outcome(kind="done", result_json="true"))
    await journal.close()
    answers: list[Message] = []
    unanswered: list[Message] = []

    async def take(message: Message) -> None:
        answers.append(message)

    async def take_unanswered(message: Message) -> None:
        unanswered.append(message)

    house.watcher.on_message(take)
    async with house.server.link(account("stranger")) as stranger:
        stranger.on_message(take_unanswered)
        for _ in range(2):
            agent = house.agent(outbox=tmp_path / "outbox.db")
            agent.command(Lamp().switch)
            async with agent:
                await until(lambda: bool(answers))
    assert [each.text for each in answers] == [
        "switch: I restarted while I did this, so what became of it is not known. Look before you ask again."
    ]
    assert unanswered == []
