"""Bad and too many commands on real servers: each sender gets an answer, and the device keeps its session."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement

import pytest
import pytest_asyncio

from iotxmpp import Agent
from iotxmpp.account import Account
from iotxmpp.commands import COMMAND_TAG, call_element, read_reply
from iotxmpp.controller.calls import call_command
from iotxmpp.errors import InvalidError, LinkDownError, StanzaError
from iotxmpp.link import LinkState, Message, Presence
from iotxmpp.payloads import JSON_TAG, json_element
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.services import MOST_AT_ONCE
from tests.contract.world import Collected
from tests.live.conftest import Administered
from tests.live.greenhouse import link_of
from tests.live.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWERED_WITHIN = 10.0
BURST = 300


@dataclass(kw_only=True)
class Scene:
    """A device, who may call it, and who may not."""

    site: Site
    device: Account
    agent: Agent
    house: XmppLink
    stranger: XmppLink
    states: Collected[LinkState]
    counted: list[int] = field(default_factory=list)

    @property
    def jid(self) -> str:
        """The full JID of the device's session."""
        return self.link.jid

    @property
    def link(self) -> XmppLink:
        return link_of(self.agent)

    async def works(self) -> None:
        """The device answers, in the session in which it was."""
        assert await call_command(self.house, self.jid, "ping", {}, timeout=ANSWERED_WITHIN) == "pong"
        assert self.states.all == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(administered: Administered, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    server, admin = administered
    async with Site(server, tmp_path_factory.mktemp("site"), admin=admin) as site:
        house = await site.account("house")
        device = await site.device("greenhouse", house)
        agent, counted = Agent(device), list[int]()

        @agent.command(idempotent=True)
        async def ping() -> str:
            return "pong"

        @agent.command
        async def count(number: int) -> int:
            counted.append(number)
            return number

        async with agent:
            scene = Scene(
                site=site,
                device=device,
                agent=agent,
                house=await site.link(house),
                stranger=await site.link(await site.account("stranger")),
                states=Collected[LinkState](),
                counted=counted,
            )
            cancel = scene.link.on_state(scene.states.add)
            yield scene
            cancel()


def deep(levels: int, tag: str) -> Element:
    """An element in an element in an element."""
    outermost = element = Element(tag)
    for _ in range(levels):
        element = SubElement(element, tag)
    return outermost


async def sent_raw(link: XmppLink, to: str, payload: Element) -> Exception | None:
    """Sends a request past our own checks; what it is answered with, at the latest after a while."""
    try:
        await link._send(to, payload, kind="set", timeout=ANSWERED_WITHIN)
    except (LinkDownError, StanzaError) as error:
        return error
    return None


@pytest.mark.parametrize("who", ["house", "stranger"])
async def test_arguments_of_a_megabyte_cost_their_sender_its_stream_and_the_device_nothing(
    scene: Scene, who: str
) -> None:
    sender = scene.house if who == "house" else scene.stranger
    command = Element(COMMAND_TAG, {"node": "count"})
    command.append(json_element(f'{{"number": "{"1" * 1_000_000}"}}'))
    states = Collected[LinkState]()
    cancel = sender.on_state(states.add)
    # Prosody and ejabberd close the stream of whoever sends such a stanza; it reaches nobody.
    assert isinstance(await sent_raw(sender, scene.jid, command), LinkDownError)
    await states.until(lambda state: state.up)
    cancel()
    await scene.works()
    assert scene.counted == []


async def test_our_own_caller_is_refused_before_it_sends_a_megabyte(scene: Scene) -> None:
    with pytest.raises(InvalidError):
        await scene.house.call(scene.jid, json_element("1" * 1_000_000))
    await scene.works()


@pytest.mark.parametrize("who", ["house", "stranger"])
@pytest.mark.parametrize("levels", [70, 500])
async def test_xml_nested_too_deep_is_refused_and_the_device_keeps_its_session(
    scene: Scene, who: str, levels: int
) -> None:
    sender = scene.house if who == "house" else scene.stranger
    command = Element(COMMAND_TAG, {"node": "count", "action": "execute"})
    command.append(deep(levels, JSON_TAG))
    error = await sent_raw(sender, scene.jid, command)
    assert isinstance(error, StanzaError)
    assert (error.condition, error.text) == ("bad-request", "elements are nested more than 64 deep")
    await scene.works()


async def test_deep_messages_and_presence_of_a_stranger_are_passed_over(scene: Scene) -> None:
    nested = deep(500, "{urn:example:deep}deep")
    message = Message(text="status", extensions=(nested,))
    await scene.stranger.send(scene.device.jid, message)
    await scene.stranger.send(scene.jid, message)
    await scene.house.send(scene.jid, message)
    await scene.stranger.announce(Presence(extensions=(nested,)))
    await scene.works()


async def test_arguments_nested_500_deep_in_json_are_refused(scene: Scene) -> None:
    command = Element(COMMAND_TAG, {"node": "count"})
    command.append(json_element(f'{{"number": {"[" * 500}{"]" * 500}}}'))
    error = await sent_raw(scene.house, scene.jid, command)
    assert isinstance(error, StanzaError)
    assert "nested deeper than 32 levels" in error.text
    await scene.works()


async def test_a_burst_is_carried_out_in_order_as_far_as_there_is_room_and_else_refused(scene: Scene) -> None:
    async def call(number: int) -> int | None:
        element = call_element("count", {"number": number}, id=f"burst-{number}")
        try:
            answer = await scene.house.call(scene.jid, element, timeout=ANSWERED_WITHIN)
        except StanzaError as error:
            refused.add(error.condition)
            return None
        return int(read_reply(answer))

    refused: set[str] = set()
    answers = await asyncio.gather(*map(call, range(BURST)))
    done = [number for number in answers if number is not None]
    assert done == [number for number, answer in enumerate(answers) if answer is not None]
    assert scene.counted == done
    assert refused <= {"resource-constraint"}
    assert len(done) >= min(BURST, MOST_AT_ONCE, 65)
    scene.counted.clear()
    await scene.works()
