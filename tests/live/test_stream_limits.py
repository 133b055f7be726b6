"""What a server says of its limits (XEP-0478) reaches the link, and the link keeps to it."""

import asyncio

import pytest

from iotxmpp.addresses import NodeAddress
from iotxmpp.agent.packbound import is_too_large
from iotxmpp.backoff import Backoff
from iotxmpp.errors import InvalidError, LinkDownError
from iotxmpp.link import LinkLimits, LinkState
from iotxmpp.payloads import json_element
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.limits import ENVELOPE
from tests.fake_server import DOMAIN, FakeServer, Peer, Scram, mechanisms
from tests.live.hostile import SOON, Trust, leaves_no_tasks

pytestmark = pytest.mark.usefixtures("short_attempts")

NODE = NodeAddress(service=f"pubsub.{DOMAIN}", node="iot/device/readings")
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
SAID = 30_000


def limits(size: int) -> str:
    return f"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{size}</max-bytes></limits>"


async def log_in(peer: Peer) -> None:
    """Offers a stricter limit before the login, as Prosody does."""
    scram = Scram()
    await peer.start_tls()
    await peer.offer(mechanisms("SCRAM-SHA-256"), limits(10_000))
    await peer.say("challenge", scram.first(await peer.sasl("auth")))
    await peer.say("success", scram.last(await peer.sasl("response")))


def _quick(_low: float, _high: float) -> float:
    return 0.0


async def test_a_session_has_the_limits_that_hold_after_the_login(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await log_in(peer)
        await peer.bind(*([limits(SAID)] if server.connections == 1 else []))
        await peer.answer("<pubsub[^>]*>", "")
        if server.connections == 1:
            peer.close()

    up_again = asyncio.Event()

    def changed(state: LinkState) -> None:
        if state.up and server.connections == 2:
            up_again.set()

    async with FakeServer(script, context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca), backoff=Backoff(choose=_quick))
        link.on_state(changed)
        largest = json_element("x" * (SAID - ENVELOPE))
        assert link.limits == LinkLimits()
        with leaves_no_tasks():
            async with link:
                assert link.limits == LinkLimits(stanza_bytes=SAID)
                with pytest.raises(InvalidError, match=str(SAID - ENVELOPE)):
                    await link.publish(NODE, largest, item_id="a.1")
                with pytest.raises(InvalidError, match=str(SAID - ENVELOPE)):
                    await link.call(f"someone@{DOMAIN}/x", largest)
                await link.publish(NODE, json_element("x" * (SAID - ENVELOPE - 100)), item_id="a.1")
                await asyncio.wait_for(up_again.wait(), SOON)
                assert link.limits == LinkLimits(), "the new session says nothing"
                await link.publish(NODE, largest, item_id="a.2")
        assert b"a.2" in server.received


async def test_the_end_of_a_stream_by_a_stanza_too_large_is_told_as_that(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()
        await peer.until("<publish")
        await peer.send(
            f"<stream:error><policy-violation xmlns='{STREAM_ERRORS}'/>"
            f"<text xmlns='{STREAM_ERRORS}'>XML stanza is too big</text></stream:error></stream:stream>"
        )

    async with FakeServer(script, context=trust.context) as server:
        async with XmppLink(server.account(ca=trust.ca)) as link:
            with pytest.raises(LinkDownError) as caught:
                await link.publish(NODE, json_element("x" * 50_000), item_id="a.1")
        assert is_too_large(caught.value)
