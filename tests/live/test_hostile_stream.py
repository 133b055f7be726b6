"""What the link does with streams that are none, fall silent, or end before there is a session."""

import pytest

from iotxmpp.errors import HostError
from iotxmpp.xmpp import XmppLink, negotiation
from tests.fake_server import (
    BIND,
    DOMAIN,
    HEADER,
    STARTTLS,
    STREAM_MANAGEMENT,
    FakeServer,
    Peer,
    Script,
    mechanisms,
    silence,
)
from tests.live.hostile import Trust, in_clear, outcome, refused

pytestmark = pytest.mark.usefixtures("short_attempts")


_ENTITIES = (
    "<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(f"<!ENTITY {new} '{f'&{old};' * 10}'>" for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    "<message><body>&i;</body></message>"
)

_BAD_STREAMS = {
    "entities": _ENTITIES,
    "a DTD after the declaration": "<?xml version='1.0'?><!DOCTYPE s><s>",
    "an entity that nobody declared": HEADER + "<stream:features>&a;</stream:features>",
    "no XML": "HTTP/1.1 400 Bad Request\r\n\r\n",
    "XML that breaks": HEADER + "<stream:features></oops>",
    "UTF-16": "\ufeff<stream>".encode("utf-16").decode("latin-1"),
    "a large stanza": HEADER + "<message><body>" + "x" * 5_000_000,
    "a large stanza of elements": HEADER + "<message>" + "<a/>" * 200_000,
    "a large attribute": HEADER + "<message to='" + "x" * 5_000_000,
    "a deep stanza": HEADER + "<message>" + "<a>" * 60_000,
    "a very deep stanza": HEADER + "<message>" + "<a>" * 100_000 + "</a>" * 100_000 + "</message>",
}


@pytest.mark.parametrize("text", _BAD_STREAMS.values(), ids=_BAD_STREAMS)
async def test_a_stream_that_is_no_xmpp_is_cut(trust: Trust, text: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.until("<stream:stream[^>]*>")
        await peer.send(text)

    error = await outcome(FakeServer(script), trust)
    assert type(error) is HostError
    assert "no XMPP server may send" in str(error)


async def test_a_redirect_is_not_followed(trust: Trust) -> None:
    async with FakeServer(silence) as elsewhere:

        async def script(peer: Peer) -> None:
            await peer.until("<stream:stream[^>]*>")
            await peer.send(
                f"{HEADER}<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>"
                f"127.0.0.1:{elsewhere.port}</see-other-host></stream:error>"
            )

        error = await outcome(FakeServer(script), trust)
        assert elsewhere.connections == 0
    assert type(error) is HostError
    assert "see-other-host" in str(error)


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_server_that_says_nothing(trust: Trust, tls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "ATTEMPT_TIMEOUT", 0.15)
    async with FakeServer(silence) as server:
        account = server.account(ca=trust.ca).model_copy(update={"tls": tls})
        error = await refused(XmppLink(account))
    assert type(error) is HostError
    assert "did not finish the login" in str(error)


def _silent_at(step: str) -> Script:
    async def script(peer: Peer) -> None:
        if step == "features":
            await peer.until("<stream:stream[^>]*>")
            await peer.send(HEADER)
        elif step == "starttls":
            await peer.offer(STARTTLS)
        elif step == "TLS":
            await peer.offer(STARTTLS)
            await peer.until("<starttls[^>]*>")
            await peer.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        elif step == "login":
            await peer.start_tls()
            await peer.offer(mechanisms("SCRAM-SHA-256"))
        else:
            await peer.log_in()
            await peer.offer(BIND, STREAM_MANAGEMENT)
            if step == "enable":
                await peer.answer("<bind[^>]*>", f"{BIND[:-2]}><jid>device@{DOMAIN}/fake</jid></bind>")

    return script


@pytest.mark.parametrize("step", ["features", "starttls", "TLS", "login", "bind", "enable"])
async def test_a_server_that_falls_silent(trust: Trust, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "ATTEMPT_TIMEOUT", 0.15)
    error = await outcome(FakeServer(_silent_at(step), context=trust.context), trust)
    assert type(error) is HostError
    assert "did not finish the login" in str(error)


@pytest.mark.parametrize("direct", [False, True], ids=["STARTTLS", "direct TLS"])
async def test_a_server_that_closes_at_once(trust: Trust, direct: bool) -> None:
    async def script(peer: Peer) -> None:
        peer.close()

    server = FakeServer(script, context=trust.context, direct=direct)
    assert type(await outcome(server, trust)) is HostError


async def test_a_server_that_closes_during_the_tls_handshake(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await in_clear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")(peer)
        peer.close()

    assert type(await outcome(FakeServer(script), trust)) is HostError


@pytest.mark.parametrize(
    "answer",
    [
        ("error", "<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"),
        ("result", ""),
        ("result", f"{BIND[:-2]}><jid>@@@</jid></bind>"),
        ("result", f"{BIND[:-2]}><jid>someone@else.example/x</jid></bind>"),
    ],
)
async def test_a_resource_that_is_not_bound(trust: Trust, answer: tuple[str, str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.offer(BIND)
        await peer.answer("<bind[^>]*>", answer[1], kind=answer[0])
        await peer.answer("<query xmlns=.jabber:iq:roster.[^>]*>", "<query xmlns='jabber:iq:roster'/>")

    assert type(await outcome(FakeServer(script, context=trust.context), trust)) is HostError
