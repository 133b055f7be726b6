"""A device that was stopped does not do what was asked of it meanwhile."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import pytest

from iotxmpp.commands import COMMAND_TAG, COMMANDS_NAMESPACE
from iotxmpp.link import Message, Presence
from tests.live.site import PATIENCE, Site, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STOPPED = 4.0
"""Seconds; the device's own bounds are made shorter, and are what they are by its unit tests."""

DEVICE = """
import sys
from pathlib import Path
from iotxmpp import Account, Agent
from iotxmpp.serving import chat, person, stalls

stalls.EVERY, stalls.STALLED = 0.2, 1.0
chat.WITHIN = person.LONGEST = 2.0
agent = Agent(Account.load(Path(sys.argv[1])), outbox="memory")

@agent.command
def dose(text: str) -> str:
    with open(sys.argv[2], "a") as ran:
        print(text, file=ran)
    return text

agent.run()
"""


def form(text: str) -> Element:
    element = Element(COMMAND_TAG, {"node": "dose", "action": "execute"})
    entered = SubElement(
        SubElement(element, "{jabber:x:data}x", {"type": "submit"}), "{jabber:x:data}field", {"var": "text"}
    )
    SubElement(entered, "{jabber:x:data}value").text = text
    return element


async def test_what_came_while_it_was_stopped_is_refused(site: Site, tmp_path: Path) -> None:
    person = await site.account("person")
    account = await site.device("doser", person)
    account.save(tmp_path / "device.toml")
    ran, sessions, answers = tmp_path / "ran", list[str](), list[str]()
    link = await site.link(person)

    async def seen(presence: Presence) -> None:
        if presence.available and presence.sender.startswith(f"{account.jid}/"):
            sessions.append(presence.sender)

    async def hear(message: Message) -> None:
        answers.append(message.text)

    link.on_presence(seen)
    link.on_message(hear)
    await link.follow(account.jid)
    device = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DEVICE, str(tmp_path / "device.toml"), str(ran)),
        stdout=PIPE,
        env={**os.environ, "IOTXMPP_STATE": str(tmp_path)},
    )
    try:
        await until(lambda: bool(sessions), "the device is not there", seconds=PATIENCE)
        await link.send(account.jid, Message(text="dose text=first"))
        await until(lambda: len(answers) == 1, "the device does not answer")
        device.send_signal(signal.SIGSTOP)
        await link.send(account.jid, Message(text="dose text=written"))
        submitted = asyncio.create_task(link.call(sessions[-1], form("submitted"), timeout=PATIENCE))
        await asyncio.sleep(STOPPED)
        device.send_signal(signal.SIGCONT)
        shown = await submitted
        await until(lambda: len(answers) == 2, "the device does not answer after it was stopped")
        assert "I was away for" in answers[-1]
        assert shown is not None
        assert shown.get("status") == "executing"
        assert "I was away for" in shown.findtext(f"{{{COMMANDS_NAMESPACE}}}note", "")
        await asyncio.sleep(6.0)
        await link.send(account.jid, Message(text="dose text=last"))
        await until(lambda: len(answers) == 3, "the device does not answer later")
        assert ran.read_text().split() == ["first", "last"]
    finally:
        if device.returncode is None:
            device.kill()
        await device.wait()
