"""The examples of commands, chats and settings, run as they stand, on a real Prosody."""

import json
import re
from pathlib import Path

import pytest

from iotxmpp import Agent
from iotxmpp.commands import Progress, read_progress
from iotxmpp.controller.calls import call_command
from iotxmpp.errors import ArgumentsError
from iotxmpp.link import Message, Presence
from iotxmpp.status import DeviceStatus
from iotxmpp.xmpp import XmppLink
from tests.live.village import EXAMPLES, HOUSE, PATIENCE, Chat, Ears, Village


def dialogue() -> list[tuple[str, str]]:
    """What the README says that Ann writes, and what the relay answers."""
    text = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\n(> .*?)^```", text, re.MULTILINE | re.DOTALL)
    turns = [turn.partition("\n") for turn in re.split(r"^> ", block, flags=re.MULTILINE)[1:]]
    return [(asked, answer.rstrip("\n")) for asked, _, answer in turns]


async def test_a_relay_keeps_its_bounds_and_tells_how_far_it_is(village: Village, ears: Ears) -> None:
    await village.device("relay")
    await ears.controller.wait_for("relay", online=None)
    async with village.script("relay.py", "relay"):
        relay = await ears.controller.wait_for("relay")
        assert await relay.call("switch", channel=2, on=True) == "relay 2 is on"
        await ears.until(1)
        assert ears.readings == [("relay/relay/2", True, None)]
        with pytest.raises(ArgumentsError, match="channel"):
            await relay.call("switch", channel=5, on=True)
        async with XmppLink(village.house) as link:
            heard: list[Progress | None] = []

            async def told(message: Message) -> None:
                heard.append(read_progress(message.extensions))

            link.on_message(told)
            assert relay.presence is not None
            full = relay.presence.sender
            assert await call_command(link, full, "try_all", {"seconds": 1.6}, timeout=PATIENCE)
        assert [each.text for each in heard if each] == [f"relay {number}" for number in range(1, 5)]
        assert relay.about is not None
        assert (relay.about.commands["switch"].once, relay.about.commands["try_all"].once) == (
            "idempotent",
            "journal",
        )


async def test_people_switch_a_relay_from_a_chat(village: Village, tmp_path: Path) -> None:
    await village.device("relay")
    ann, bob = await village.person("ann"), await village.person("bob")
    async with village.script("chat_relay.toml", "relay"), ann, bob:
        chat, other = Chat(ann), Chat(bob)
        await chat.seen("relay@example.org")
        for asked, answer in dialogue():
            assert await chat.ask(asked) == answer
        await chat.ask_until("status", "relay/1: yes")
        assert "relay/1: yes" in await other.ask("status")
        assert "bob@example.org is observer on relay" in await other.ask("switch channel=1 on=false")
        assert "relay/1: yes" in await chat.ask("status")
    (log,) = (tmp_path / "state").glob("*/*.audit.log")
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [(each["by"], each["result"]) for each in lines if each["command"] == "switch"][:2] == [
        ("ann@example.org", "started"),
        ("ann@example.org", "done"),
    ]
    assert ("bob@example.org", "refused") in [(each["by"], each["result"]) for each in lines]


async def test_a_command_waits_for_a_device_that_sleeps(village: Village) -> None:
    account = await village.device("probe")
    agent = Agent(account)

    @agent.command
    async def calibrate(celsius: float) -> str:
        return f"calibrated at {celsius} °C"

    asleep = DeviceStatus(why="sleep", heartbeat=30, uptime=1, version="0", sleeping=3600)
    link = XmppLink(account)
    link.admit(HOUSE.__eq__)
    async with village.script("wake_up_call.py", "house") as script:
        async with link:
            await link.announce(Presence(show="xa", extensions=(asleep.element(),)))
            await script.line("probe is sleeping, the command is queued")
        async with agent:
            await script.line("calibrated at 20.5 °C")
        assert await script.process.wait() == 0


async def test_a_lamp_takes_its_settings_and_says_what_it_refuses(village: Village, ears: Ears) -> None:
    await village.device("lamp")
    lamp = await ears.controller.wait_for("lamp", online=None)
    await lamp.desire(brightness=20)  # while it is away
    async with village.script("lamp_settings.py", "lamp"):
        await ears.settle(lamp, 1)
        assert lamp.twin.in_sync
        assert lamp.twin.reported == {"brightness": 20, "every/brightness": 5}
        await lamp.desire_with({"brightness": 90, "every/brightness": 0.2})
        await ears.settle(lamp, 2)
        assert lamp.twin.refused == {"brightness": "ValueError: the lamp is too hot for that"}
        assert lamp.twin.reported == {"brightness": 20, "every/brightness": 0.2}
        await ears.until(3)
    assert ears.readings[-1] == ("lamp/brightness", 20, "/100")
