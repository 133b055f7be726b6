"""The chat door: readable answers for those who may, nothing for strangers and machines."""

from typing import Annotated, Any
from xml.etree.ElementTree import Element

import pytest
from pydantic import Field

from iotxmpp.access import Access, Grant
from iotxmpp.commands import CommandSpec, Outcome
from iotxmpp.errors import ArgumentsError, StoreError
from iotxmpp.link import Message
from iotxmpp.serving.alarms import automatic_message
from iotxmpp.serving.audit import AuditEntry, MemoryAudit
from iotxmpp.serving.chat import WITHIN, ChatDoor
from iotxmpp.serving.command import Caller, Command
from iotxmpp.serving.person import WITHIN as FORM_WITHIN
from iotxmpp.serving.records import Records
from tests.unit.documents import ROOT

NOW = 1_790_000_000.0
BOB, CAROL, EVE = "bob@example.org/phone", "carol@example.org/desk", "eve@example.net/x"


def switch(*, on: bool, channel: Annotated[int, Field(ge=1, le=4)] = 1) -> str:
    """Switch a relay."""
    return f"relay {channel} is {'on' if on else 'off'}"


def measure() -> dict[str, Any]:
    """Measure all."""
    return {"temperature": 21.5, "door": True, "room": "north", "more": [1, {"a": None}]}


def listing() -> list[dict[str, Any]]:
    """List the relays."""
    return [{"relay": 1, "on": True}, {"relay": 2, "on": False}]


def wipe() -> None:
    """Forget everything."""


def jam() -> None:
    """Get stuck."""
    raise RuntimeError("it is stuck")


class Runner:
    """Runs a command at once, as an executor does, and knows what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Caller, str, str]] = []
        self.outcome: Outcome | None = None

    async def execute(self, caller: Caller, command: Command, **call: Any) -> Outcome:  # noqa: ANN401  # its parts
        arguments = call.pop("arguments")
        self.calls.append((caller, command.spec.name, call.pop("id")))
        assert call == {"within": WITHIN}, "a message says no more of a call"
        if self.outcome is not None:
            return self.outcome
        try:
            values = command.spec.parse(arguments)
        except ArgumentsError as error:
            return Outcome(kind="rejected", text=str(error), condition="bad-request/bad-payload")
        try:
            return Outcome.of_result(command.function(**values))
        except RuntimeError as error:
            return Outcome(kind="failed", text=str(error))


class House:
    """A device with a chat door, an operator Bob and an observer Carol."""

    def __init__(self) -> None:
        self.runner, self.audit = Runner(), MemoryAudit()
        self.clock = 1000.0
        self.count = 0
        functions = (switch, measure, listing, jam)
        self.commands = {
            each.__name__: Command(spec=CommandSpec.from_function(each), function=each) for each in functions
        }
        self.commands["wipe"] = Command(
            spec=CommandSpec.from_function(wipe, role="maintainer"), function=wipe
        )
        access = Access(
            [Grant(who="bob@example.org", role="operator"), Grant(who="example.org", role="observer")]
        )
        self.door = ChatDoor(
            self.commands,
            access,
            self.runner,
            device="greenhouse-1",
            status=lambda: "online, 21.5 °C",
            records=Records(device="greenhouse-1", audit=self.audit, problems=None, clock=lambda: self.clock),
            own="greenhouse-1@example.org/agent",
            now=lambda: NOW,
            clock=lambda: self.clock,
        )

    async def say(self, text: str, sender: str = BOB, **more: Any) -> str | None:  # noqa: ANN401  # a message's fields
        """What the device answers; a second passes before."""
        self.clock += 2
        self.count += 1
        return await self.door.take(
            Message(**{"sender": sender, "text": text, "id": f"m{self.count}"} | more)
        )


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("status", "online, 21.5 °C"),
        ("  Status \n", "online, 21.5 °C"),
        ("switch on=true channel=2", "relay 2 is on"),
        ("Switch on=false", "relay 1 is off"),
        ('switch on="true"', "relay 1 is on"),
        ("measure", 'temperature: 21.5\ndoor: yes\nroom: north\nmore: [1, {"a": null}]'),
        ("listing", "relay: 1, on: yes\nrelay: 2, on: no"),
        ("jam", "jam failed: it is stuck"),
    ],
)
async def test_who_may_is_answered(house: House, text: str, answer: str) -> None:
    assert await house.say(text) == answer


async def test_a_command_is_called_for_the_writer_by_an_id_of_its_own(house: House) -> None:
    await house.say("measure")
    await house.say("measure")
    (caller, name, first), (_, _, second) = house.runner.calls
    assert caller == Caller(jid=BOB, by="bob@example.org", role="operator", door="chat")
    assert (name, first != second) == ("measure", True)
    assert list(house.audit.entries) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("swich on=true", "I do not know 'swich'. Did you mean switch? I understand: status, help, jam,"),
        ("stats", "Did you mean status?"),
        ("halp me", "Did you mean help?"),
        ("fly\x00me", "I do not know"),
        ("good morning, dear plants", "I do not know 'good'."),
        ("it's warm", 'I do not know "it\'s".'),
        ("switch on='true", "a quote is not closed"),
        ("switch true", "argument 'true': write it as key=value"),
        ("switch on=true on=false", "argument 'on' is given twice"),
        ("switch", "help switch tells how to write it."),
        ("switch on=true channel=9", "channel"),
        ("switch on=true channel=9", "help switch tells how to write it."),
        ("switch on=true colour=red", "colour"),
        ("switch on=maybe", "help switch"),
        ("x" * 5000, "at most 4000 characters"),
        ("wipe", "bob@example.org is operator on greenhouse-1, and wipe asks for maintainer"),
        ("help wipe", "wipe asks for maintainer"),
        ("help fly", "I do not know 'fly'."),
    ],
)
async def test_what_is_not_understood_is_told_and_not_done(house: House, text: str, told: str) -> None:
    answer = await house.say(text)
    assert told in (answer or "")
    assert "\x00" not in (answer or "")


async def test_help_shows_what_the_writer_may_do(house: House) -> None:
    assert (await house.say("help") or "").splitlines() == [
        "status: how this device is",
        "help NAME: how to write a command",
        "jam: Get stuck.",
        "listing: List the relays.",
        "measure: Measure all.",
        "switch: Switch a relay.",
    ]
    assert (await house.say("help Switch") or "").endswith("Write: switch on=true")
    assert (await house.say("help", CAROL) or "").splitlines()[2:] == []
    assert "switch" not in (await house.say("swich", CAROL) or "")


async def test_an_observer_sees_and_does_nothing_and_is_written_down(house: House) -> None:
    assert await house.say("status", CAROL) == "online, 21.5 °C"
    assert "asks for operator" in (await house.say("switch on=true", CAROL) or "")
    assert house.runner.calls == []
    (noted,) = house.audit.entries
    assert (noted.who, noted.by, noted.command, noted.result, noted.door, noted.device) == (
        CAROL,
        "carol@example.org",
        "switch",
        "refused",
        "chat",
        "greenhouse-1",
    )


async def test_a_stranger_gets_no_answer_and_is_written_down_a_few_times(house: House) -> None:
    for _ in range(50):
        house.clock -= 2
        assert await house.say("status", EVE) is None
    assert [each.who for each in house.audit.entries] == [EVE] * 6
    house.clock += 60
    assert await house.say("switch on=true", EVE) is None
    count, newest = list(house.audit.entries)[-2:]
    assert (count.who, count.text) == ("eve@example.net", "44 more refusals of this account within 60 s")
    assert newest.who == EVE
    assert house.runner.calls == []


async def test_an_audit_that_fails_does_not_let_a_stranger_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(entry: AuditEntry) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(house.audit, "append", full)
    assert await house.say("status", EVE) is None
    assert "asks for operator" in (await house.say("switch on=true", CAROL) or "")


@pytest.mark.parametrize(
    "message",
    [
        Message(sender=BOB, text="status", kind="headline"),
        Message(sender=BOB, text=""),
        Message(sender=BOB, text=" \n"),
        Message(sender="greenhouse-1@example.org/other", text="status"),
        Message(sender="example.org", text="status"),
        Message(sender="", text="status"),
        Message(sender=BOB, text="status", extensions=automatic_message("x").extensions),
    ],
)
async def test_what_no_person_wrote_gets_no_answer(house: House, message: Message) -> None:
    assert await house.door.take(message) is None
    assert list(house.audit.entries) == []


async def test_another_extension_harms_nothing(house: House) -> None:
    active = Element("{http://jabber.org/protocol/chatstates}active")
    assert await house.say("status", extensions=(active,)) == "online, 21.5 °C"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (NOW - 29, None),
        (NOW + 29, None),
        (NOW - 31, "31 s"),
        (NOW - 600, "10 min"),
        (NOW - 20_000, "6 h"),
        (NOW + 600, "10 min"),
        (0.0, "h"),
    ],
)
async def test_what_was_kept_on_its_way_is_not_obeyed(house: House, sent: float, told: str | None) -> None:
    answer = await house.say("switch on=true", sent=sent) or ""
    if told is None:
        assert answer == "relay 1 is on"
        return
    assert f"on its way for {told}" in answer or (told == "h" and " h, " in answer)
    assert "was not obeyed; write it again." in answer
    assert house.runner.calls == []
    assert house.audit.entries[-1].result == "refused"


async def test_ten_messages_in_ten_seconds_are_taken(house: House) -> None:
    answers = [
        await house.door.take(Message(sender=BOB, text="measure", id=f"{number}")) for number in range(30)
    ]
    assert all("temperature" in (each or "") for each in answers[:10])
    assert "at most 10 messages in 10 s" in (answers[10] or "")
    assert answers[11:] == [None] * 19
    assert await house.door.take(Message(sender=CAROL, text="status", id="c")) == "online, 21.5 °C"
    assert len(house.runner.calls) == 10
    house.clock += 10
    assert "temperature" in (await house.say("measure") or "")
    for number in range(100, 109):
        await house.door.take(Message(sender=BOB, text="measure", id=f"{number}"))
    assert "at most 10" in (await house.door.take(Message(sender=BOB, text="measure", id="x")) or "")


async def test_many_senders_take_no_more_than_their_room(house: House) -> None:
    for number in range(1000):
        sender = f"p{number}@example.org/x"
        assert await house.door.take(Message(sender=sender, text="status", id="1")) == "online, 21.5 °C"
    assert len(house.door._senders._wrote) <= 256
    assert len(house.door._senders._ids) <= 256


async def test_a_message_that_comes_twice_is_done_once(house: House) -> None:
    assert await house.say("measure", id="same") is not None
    assert await house.say("measure", id="same") is None
    assert await house.say("measure", id="same", sender="bob@example.org/other") is not None
    assert await house.say("measure", id="") is not None
    assert await house.say("measure", id="") is not None
    assert len(house.runner.calls) == 4
    house.clock += 61
    assert await house.say("measure", id="same") is not None


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Outcome(kind="done", result_json="null"), "done"),
        (Outcome(kind="done", result_json="[]"), "[]"),
        (Outcome(kind="done", result_json="true"), "yes"),
        (Outcome(kind="done", result_json="[1,2]"), "1\n2"),
        (Outcome(kind="done", result_json='"a\\u0000b"'), "a\ufffdb"),
        (Outcome(kind="unknown"), "measure was started, and what became of it is not known."),
        (Outcome(kind="cancelled"), "measure was cancelled before it started."),
        (Outcome(kind="expired"), "measure came too late, and was not started."),
        (Outcome(kind="rejected", condition="resource-constraint", text="busy"), "busy"),
        (Outcome(kind="rejected", condition="resource-constraint"), "resource-constraint"),
    ],
)
async def test_each_end_of_a_command_is_told(house: House, outcome: Outcome, answer: str) -> None:
    house.runner.outcome = outcome
    assert await house.say("measure") == answer


async def test_a_long_answer_is_cut(house: House) -> None:
    house.runner.outcome = Outcome(kind="done", result_json=f'"{"x" * 50_000}"')
    assert len(await house.say("measure") or "") == 4000


async def test_two_devices_do_not_talk_without_end(house: House) -> None:
    other = House()
    answer = await house.say("nonsense", "cellar@example.org/agent")
    assert answer is not None
    reply = automatic_message(answer)
    assert await other.door.take(Message(sender=BOB, text=reply.text, extensions=reply.extensions)) is None


async def test_a_command_that_waited_too_long_is_told_and_the_guide_says_how_long(house: House) -> None:
    house.runner.outcome = Outcome(kind="expired", text="the call expired before it could start")
    assert await house.say("measure") == "measure came too late, and was not started."
    guide = (ROOT / "docs" / "clients.md").read_text("utf-8")
    assert (
        f"given up after {WITHIN:.0f} seconds if you\nwrote it, and after {FORM_WITHIN:.0f} seconds" in guide
    )
