"""A device and a controller whose links are cut, on Prosody and on ejabberd."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from iotxmpp.errors import CommandError
from iotxmpp.link import LinkState
from iotxmpp.xmpp import XmppLink
from tests.contract.world import Collected
from tests.live.greenhouse import House, link_of, take_at_once
from tests.live.site import PATIENCE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def cut(house: House) -> None:
    """Severs the agent's connection; the session goes on when it is back (XEP-0198)."""
    client = link_of(house.agent)._client
    assert client is not None
    assert client.transport is not None
    client.transport.abort()


async def renew(house: House) -> None:
    """Ends the agent's session at the server; a new one comes."""
    await house.site.end_session(link_of(house.agent).jid)


@pytest.mark.parametrize(("sever", "resumed"), [(cut, True), (renew, False)], ids=["cut", "new session"])
async def test_readings_made_while_the_link_is_down_arrive_in_order(
    house: House, sever: Callable[[House], Awaitable[None]], resumed: bool
) -> None:
    link, states = link_of(house.agent), Collected[LinkState]()
    link.on_state(states.add)
    await house.agent.publish("count", 1)
    await until(lambda: house.agent.status.buffered == 0, "the first reading is settled")
    await sever(house)
    await states.until(lambda state: not state.up)
    assert not link.state.up
    for number in range(2, 52):
        house.agent.publish_soon("count", number)
    await asyncio.sleep(0)
    assert house.agent.status.buffered >= 50
    up = await states.until(lambda state: state.up)
    assert up.resumed is resumed
    await until(lambda: 51 in house.counts, "the last reading")
    assert house.counts == list(range(1, 52))
    await until(lambda: house.handle.online, "the device is online again")
    assert await house.handle.call("water", seconds=1) == "watered for 1 s"
    assert await house.controller.rejections() == []


async def test_no_reading_is_lost_and_none_overtakes_another_where_the_link_is_cut_again_and_again(
    house: House,
) -> None:
    link, last = link_of(house.agent), 120
    link._backoff.first = 0.05
    for number in range(1, last + 1):
        await house.agent.publish("count", number)
        if number % 40 == 20:
            await cut(house)
        await asyncio.sleep(0.005)
    await until(lambda: last in house.counts, "the last reading")
    # A pack whose fate was unknown goes out again: its readings may come twice, never in disorder.
    firsts = list(dict.fromkeys(house.counts))
    assert firsts == list(range(1, last + 1))
    assert await house.controller.rejections() == []


async def test_the_controllers_own_link_is_cut(house: House) -> None:
    session = house.controller._session
    assert session is not None
    link, states = session._link, Collected[LinkState]()
    assert isinstance(link, XmppLink)
    link.on_state(states.add)
    assert link._client is not None
    assert link._client.transport is not None
    link._client.transport.abort()
    await states.until(lambda state: not state.up)
    assert house.handle.state == "unknown"
    with pytest.raises(Exception, match="was not sent") as caught:
        await take_at_once(house.handle.call("water"))
    assert not isinstance(caught.value, CommandError)
    await house.agent.publish("count", 1)
    await states.until(lambda state: state.up)
    assert (await house.readings.count(1))[0].value == 1
    await house.controller.wait_for(house.handle.id, timeout=PATIENCE)
    assert await house.handle.call("water") == "watered for 10 s"
