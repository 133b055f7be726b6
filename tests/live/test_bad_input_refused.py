"""What a device's own side refuses to send, or what it costs."""

import math
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from iotxmpp.errors import InvalidError, LinkDownError
from iotxmpp.link import LinkState
from iotxmpp.payloads import json_element
from tests.contract.world import Collected
from tests.live.bad_scene import TOO_LARGE, Scene, open_scene, publishing
from tests.live.conftest import Administered

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(administered: Administered, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with open_scene(administered, tmp_path_factory.mktemp("site")) as scene:
        yield scene


@pytest.mark.parametrize(
    ("channel", "value", "says"),
    [
        ("temperature", math.nan, "not a finite number"),
        ("temperature", 85.5, "out of its range, -40 to 85"),
        ("temperature", "warm", "is str, expected float"),
        ("humidity", 40.0, "channel 'humidity' is not declared"),
        ("note", "a\x00b", "U\\+0000"),
        ("note", "a\x1bb", "U\\+001B"),
        ("note", "x" * TOO_LARGE, "300000 characters"),
    ],
)
async def test_an_agent_refuses_what_it_cannot_send(
    scene: Scene, channel: str, value: float | str, says: str
) -> None:
    states, marked = Collected[LinkState](), time.time()
    cancel = scene.own_link.on_state(states.add)
    with pytest.raises(InvalidError, match=says):
        await scene.agent.publish(channel, value)
    await scene.a_good_reading_arrives()
    cancel()
    assert states.all == []
    assert await scene.rejected(marked) == []


@pytest.mark.parametrize(
    "content", ["x" * TOO_LARGE, "a\x00b", "a\ud800b"], ids=["300 kB", "NUL", "surrogate"]
)
async def test_a_link_refuses_what_it_cannot_send(scene: Scene, content: str) -> None:
    states, marked = Collected[LinkState](), time.time()
    cancel = scene.own_link.on_state(states.add)
    with pytest.raises(InvalidError):
        await scene.own_link.publish(scene.readings, json_element(content), item_id="0123abcd.1")
    await scene.a_good_reading_arrives()
    cancel()
    assert states.all == []
    assert await scene.rejected(marked) == []


async def test_a_pack_of_300_kilobytes_past_our_check_costs_the_stream_and_the_link_is_back(
    scene: Scene,
) -> None:
    states, marked = Collected[LinkState](), time.time()
    cancel = scene.own_link.on_state(states.add)
    request = publishing(scene.readings, json_element("x" * TOO_LARGE), item_id="0123abcd.1")
    with pytest.raises(LinkDownError):
        await scene.own_link._send(scene.readings.service, request, kind="set", timeout=5)
    down = await states.until(lambda state: not state.up)
    assert down.reason
    await states.until(lambda state: state.up)
    await scene.a_good_reading_arrives()
    cancel()
    assert await scene.rejected(marked) == []
