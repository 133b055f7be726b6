"""People with Debian's Profanity: they see a device, call its commands, write to it, and get its alarms."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from iotxmpp import Agent
from iotxmpp.access import Access, Grant
from iotxmpp.account import Account
from iotxmpp.xmpp import XmppLink
from tests.live.conftest import Administered
from tests.live.hall import Switched, hall_agent
from tests.live.profanity import Profanity, profanity
from tests.live.site import Site, name_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTLED = 0.5
"""Seconds in which an answer would have come; one comes within some milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Hall:
    """A device that runs, and a person before her screen who is its operator."""

    site: Site
    link: XmppLink
    device: Account
    agent: Agent
    client: Profanity
    switched: list[Switched]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hall(administered: Administered, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hall]:
    server, admin = administered
    async with Site(server, tmp_path_factory.mktemp("hall"), admin=admin) as site:
        house, ann = await site.account("house"), await site.account("ann")
        device = await site.device("hall", house)
        link = await site.link(device)
        access = Access((Grant(who=ann.jid, role="operator"),))
        agent, switched = hall_agent(device, access, link, site.folder / "outbox.db", people=[ann.jid])
        async with agent, profanity(ann) as client:
            await agent.publish("temperature", 21.5)
            await client.write(f"/roster add {device.jid}", f"Roster item added: {device.jid}")
            await client.write(f"/sub request {device.jid}", f"{device.jid} .* is online")
            yield Hall(site=site, link=link, device=device, agent=agent, client=client, switched=switched)


async def test_a_contact_is_seen_with_what_it_says(hall: Hall) -> None:
    screen = await hall.client.ask(
        f"/info {hall.device.jid}", "Subscription: to", r'online, "online, 1 sensor"'
    )
    resource = hall.link.jid.partition("/")[2]
    assert resource in screen


async def test_the_commands_that_one_may_call_are_listed(hall: Hall) -> None:
    screen = await hall.client.ask(f"/cmd list {hall.link.jid}", "Ad hoc commands:", "^ +water$")
    assert re.findall(r"^ {2}(\w+)$", screen, re.MULTILINE) == ["blink", "relays", "switch", "water"]


async def test_a_command_without_arguments_runs_at_once(hall: Hall) -> None:
    await hall.client.ask(f"/cmd exec blink {hall.link.jid}", "Form title: blink", "result: blinked")
    await hall.client.write("/form cancel", "^blink completed$", "^blinked$")


async def test_a_table_is_readable(hall: Hall) -> None:
    await hall.client.ask(f"/cmd exec relays {hall.link.jid}", "Form title: relays")
    await hall.client.write(
        "/form cancel", "^relays completed$", "^channel: 1, on: yes$", "channel: 2, on: no$"
    )


async def test_a_form_is_filled_in_wrongly_and_then_rightly(hall: Hall) -> None:
    client = hall.client
    form = ("Form title: Switch a relay", r"\[field1\] Channel \(required\):", r"\[field2\] on .*FALSE")
    await client.ask(f"/cmd exec switch {hall.link.jid}", *form, r"\[hard\] hard")
    await client.write("/form help field1", "at least 1, at most 4")
    await client.write("/field1 9", "Channel .* 9$")
    await client.write("/field2 on", "on .* TRUE")
    await client.write("/field3 hard", "Field updated")
    await client.write("/form submit", "Form title: Switch a relay", r"\[field1\] Channel \(required\): 9$")
    await client.write("/form help", "Supplied instructions", "channel: 9 is more than 4")
    assert hall.switched == []
    await client.write("/field1 3", "Channel .* 3$")
    await client.write("/form submit", r"\[field1\] channel: 3", r"\[field2\] on: TRUE")
    assert hall.switched == [(3, True, "hard")]
    await client.write("/form cancel", "^switch completed$")


async def test_a_command_of_two_pages_is_walked_through(hall: Hall) -> None:
    client = hall.client
    await client.ask(f"/cmd exec water {hall.link.jid}", "Form title: water", r"\[field1\] zone")
    await client.write("/field1 lawn", "Field updated")
    await client.write("/form submit", r"\[field1\] minutes: 10$")
    await client.write("/field1 25", "minutes: 25$")
    await client.write("/form submit", "result: watered the lawn for 25 min$")
    await client.write("/form cancel", "^watered the lawn for 25 min$")


async def test_what_one_may_not_call_is_refused_with_the_reason(hall: Hall) -> None:
    await hall.client.ask(
        f"/cmd exec erase {hall.link.jid}", "Error executing command erase: .*operator.*maintainer"
    )


async def test_a_device_answers_in_a_chat(hall: Hall) -> None:
    client, hall_id = hall.client, name_of(hall.device)
    await client.ask(
        f"/msg {hall.device.jid} status", f"{hall_id} is online, up for", "temperature: 21.5 Cel"
    )
    await client.ask("help", "switch: Switches a relay", "water: Waters")
    await client.ask("help switch", "channel: .*at least 1 and at most 4")
    await client.ask("switch channel=1 on=true", "me: switch channel=1 on=true", "channel: 1$", "^on: yes$")
    assert hall.switched[-1] == (1, True, None)
    await client.ask("swich channel=1 on=true", "Did you mean switch")
    await client.ask("switch channel=7 on=true", "channel.*4")
    await client.ask("erase", "maintainer")


async def test_an_alarm_is_a_chat_message(hall: Hall) -> None:
    await hall.client.ask(f"/msg {hall.device.jid} help", "me: help")
    assert await hall.agent.alarm("it freezes in the hall: -3 °C") == 1
    await hall.client.shows(f"^{hall.device.jid}.*: it freezes in the hall: -3 °C$")


async def test_a_person_without_a_role_gets_nothing(hall: Hall) -> None:
    device, full = hall.device.jid, hall.link.jid
    async with profanity(await hall.site.account("eve")) as client:
        await client.write(f"/roster add {device}", "Roster item added")
        await client.write(f"/sub request {device}", "Subscription denied|Unsubscribed|deleted")
        await client.ask(f"/cmd list {full}", "No commands found")
        await client.ask(f"/cmd exec blink {full}", "Error executing command blink: .*does not obey you")
        await client.write("/clear")
        await client.write(f"/msg {device} status", "me: status")
        await client.write("switch channel=2 on=true", "me: switch")
        await asyncio.sleep(SETTLED)
        lines = (await client.screen()).splitlines()
        assert [
            line for line in lines if "online" in line and device in line and "[offline]" not in line
        ] == []
        assert [line for line in lines if line.startswith(device)] == []
        screen = await client.write("/win 1", "Profanity")
        assert "is online" not in screen
    assert (2, True, None) not in hall.switched
