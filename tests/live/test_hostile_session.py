"""What the link does with servers that misbehave once there is a session."""

import asyncio
import re
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.backoff import Backoff
from iotxmpp.errors import LinkDownError
from iotxmpp.link import LinkState, Presence, Request
from iotxmpp.xmpp import XmppLink
from tests.fake_server import DOMAIN, FakeServer, Peer
from tests.live.hostile import COMMAND, INJECTED, SOON, Trust, leaves_no_tasks, secrets_in

pytestmark = pytest.mark.usefixtures("short_attempts")


class States:
    """What a link says of itself."""

    def __init__(self, link: XmppLink) -> None:
        self.all: list[LinkState] = []
        self._changed = asyncio.Event()
        link.on_state(self._add)

    def _add(self, state: LinkState) -> None:
        self.all.append(state)
        self._changed.set()

    async def until(self, number: int) -> LinkState:
        async with asyncio.timeout(SOON):
            while len(self.all) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.all[number - 1]


def _quick(_low: float, _high: float) -> float:
    return 0.0


@pytest.mark.parametrize(
    "text", ["<message>" + "<a>" * 60_000, "<iq></oops>", "<message><body>" + "x" * 5_000_000]
)
async def test_a_session_is_cut_where_its_stream_goes_wrong(trust: Trust, text: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()
        if server.connections == 1:
            await states.until(1)
            await peer.send(text)

    async with FakeServer(script, context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca), backoff=Backoff(choose=_quick))
        states = States(link)
        with leaves_no_tasks():
            async with link:
                assert "no XMPP server may send" in (await states.until(2)).reason
                assert (await states.until(3)).up
                assert server.connections == 2


@pytest.mark.parametrize(
    "text",
    [
        "<iq type='get' id='1' from='@@@/x'><x xmlns='y'/></iq>",
        "<iq type='get' id='1' from='@@@/x'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        "<iq type='get'/>",
        "<iq type='result' id='1' from='@@@'/>",
        "<iq/>",
        "<presence from='@@@' type='subscribe'/>",
        "<presence from='@@@'/>",
        "<presence type='error'/>",
        "<message from='@@@'><event xmlns='http://jabber.org/protocol/pubsub#event'><items/></event></message>",
        "<message type='error'><body>x</body></message>",
        "<a xmlns='urn:xmpp:sm:3' h='x'/>",
        "<unknown xmlns='urn:x'/>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='@@@'/></query></iq>",
    ],
)
async def test_a_session_survives_a_stanza_that_makes_no_sense(
    trust: Trust, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()
        await peer.send(text)
        await peer.send(INJECTED)

    called = asyncio.Event()

    async def serve(request: Request) -> None:
        called.set()

    async with FakeServer(script, context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca), backoff=Backoff(choose=_quick))
        link.serve(COMMAND, serve)
        with leaves_no_tasks():
            async with link:
                async with asyncio.timeout(SOON):
                    await called.wait()
                assert link.state.up
                assert server.connections == 1
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_resource_taken_by_another_session_is_not_fought_over(trust: Trust) -> None:
    bounds: list[tuple[float, float]] = []
    gave_up = asyncio.Event()

    def choose(low: float, high: float) -> float:
        bounds.append((low, high))
        gave_up.set()
        return high

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()
        await peer.send(
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        )

    async with FakeServer(script, context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca), backoff=Backoff(longest=120, choose=choose))
        with leaves_no_tasks():
            async with link:
                async with asyncio.timeout(SOON):
                    await gave_up.wait()
                assert link.state.reason == "conflict"
    assert bounds == [(60.0, 120.0)]


async def test_nobody_is_asked_for_what_was_not_needed(trust: Trust) -> None:
    caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x' ver='{}'/>"

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind(caps.format("server"))
        await peer.send(f"<presence from='device-1@{DOMAIN}/x'>{caps.format('device')}</presence>")
        await peer.send(f"<message from='stranger@{DOMAIN}/x'><body>hello</body></message>")
        await peer.send(INJECTED)

    called = asyncio.Event()

    async def serve(request: Request) -> None:
        called.set()

    async with FakeServer(script, context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca))
        link.serve(COMMAND, serve)
        async with link, asyncio.timeout(SOON):
            await called.wait()
            await asyncio.sleep(0.05)
        assert b"disco#info" not in server.received
        after_session = server.received.partition(b"<presence")[2]
        assert after_session.count(b"<iq") == 2  # the ping that starts the session, and the answer
        assert b"<message" not in after_session


async def test_what_comes_before_the_session_is_up_waits_for_it(trust: Trust) -> None:
    heard: list[tuple[str, bool]] = []
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind(early=f"<presence from='device-1@{DOMAIN}/x'/>{INJECTED}")
        await peer.until("<iq[^>]*id=.9.[^>]*>")
        answered.set()

    async with FakeServer(script, context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca))

        async def serve(request: Request) -> None:
            heard.append((request.sender, link.state.up))

        async def see(presence: Presence) -> None:
            heard.append((presence.sender, link.state.up))

        link.serve(COMMAND, serve)
        link.on_presence(see)
        async with link, asyncio.timeout(SOON):
            await answered.wait()
    assert sorted(heard) == [(f"device-1@{DOMAIN}/x", True), (f"house@{DOMAIN}/home", True)]


async def test_an_answer_from_someone_else_is_none(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()
        request = await peer.until("<iq[^>]*to=.device-1[^>]*>")
        number = request.rpartition("id=")[2][1:].split(request.rpartition("id=")[2][0])[0]
        await peer.send(
            f"<iq type='result' id='{number}' from='stranger@{DOMAIN}/x'><x xmlns='forged'/></iq>"
        )
        await peer.send(f"<iq type='result' id='{number}' from='device-1@{DOMAIN}/x'><x xmlns='true'/></iq>")

    async with (
        FakeServer(script, context=trust.context) as server,
        XmppLink(server.account(ca=trust.ca)) as link,
    ):
        answer = await link.call(f"device-1@{DOMAIN}/x", Element("{urn:x}x"), timeout=SOON)
    assert answer is not None
    assert answer.tag == "{true}x"


async def test_a_session_needs_no_stream_management(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()

    async with FakeServer(script, context=trust.context) as server:
        with leaves_no_tasks():
            async with XmppLink(server.account(ca=trust.ca)) as link:
                assert link.jid == f"device@{DOMAIN}/fake"
        assert secrets_in(server.received) == []
        assert b"<auth" not in server.in_clear
        assert b"</stream:stream>" in server.received


_SHUT_DOWN = (
    "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    "</stream:stream>"
)


@pytest.mark.parametrize("callers", [1, 2, 4])
async def test_answers_that_come_with_the_end_of_the_stream_leave_a_link_that_comes_back(
    trust: Trust, callers: int
) -> None:
    """Whoever got one calls again at once, when the connection is over and not gone yet."""

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.bind()
        while server.connections > 1:
            await peer.answer("<q xmlns=.u[^>]*>", "")
        names = []
        for _ in range(callers):
            request = await peer.until("<iq[^>]*><q xmlns=.u[^>]*>")
            found = re.search(r"\sid=[\"']([^\"']*)", request[request.rindex("<iq") :])
            names.append(found[1] if found else "")
        answers = (f"<iq type='result' id='{name}' from='x@{DOMAIN}/y'/>" for name in names)
        await peer.send("".join(answers) + _SHUT_DOWN)

    async def calls(link: XmppLink) -> None:
        """Calls until the second session answers."""
        while True:
            try:
                await link.call(f"x@{DOMAIN}/y", Element("{u}q"), timeout=SOON)
            except LinkDownError:
                await asyncio.sleep(0.01)
            else:
                if server.connections > 1:
                    return

    async with FakeServer(script, context=trust.context) as server:
        async with XmppLink(server.account(ca=trust.ca), backoff=Backoff(choose=_quick)) as link:
            await asyncio.wait_for(asyncio.gather(*(calls(link) for _ in range(callers))), SOON)
        assert server.connections == 2
