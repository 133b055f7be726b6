"""What the link does with servers without TLS, with wrong certificates, or with injections before TLS."""

from collections.abc import Callable
from pathlib import Path

import pytest

from iotxmpp.errors import CertificateError, HostError, SecurityError
from iotxmpp.xmpp import XmppLink
from tests.fake_server import (
    BIND,
    DOMAIN,
    HEADER,
    STARTTLS,
    STREAM_MANAGEMENT,
    FakeServer,
    Peer,
    Script,
    features,
    mechanisms,
)
from tests.live.hostile import COMMAND, INJECTED, Trust, in_clear, outcome, refused

pytestmark = pytest.mark.usefixtures("short_attempts")


async def test_login_without_tls_is_refused_and_nothing_is_sent(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.offer(mechanisms("LOGIN", "PLAIN"))

    server = FakeServer(script)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<auth" not in server.received


async def test_scram_without_tls_is_refused_and_nothing_is_sent(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.offer(mechanisms("SCRAM-SHA-256", "SCRAM-SHA-1"), BIND)

    server = FakeServer(script)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<auth" not in server.received


async def test_no_session_without_tls(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.offer(BIND, STREAM_MANAGEMENT)

    server = FakeServer(script)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<iq" not in server.received


async def test_starttls_that_fails_sends_nothing_secret(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.offer(STARTTLS, mechanisms("PLAIN", "SCRAM-SHA-256"))
        await peer.until("<starttls")
        await peer.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await peer.send(features(mechanisms("PLAIN", "SCRAM-SHA-256")))

    server = FakeServer(script)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<auth" not in server.received


async def test_a_handshake_that_is_cut_has_a_reason(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await in_clear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")(peer)
        await peer._read()  # the client's part of the handshake
        peer.close()

    error = await outcome(FakeServer(script), trust)
    assert type(error) is HostError
    assert str(error).endswith("ended the connection: ConnectionResetError")


async def test_plain_within_tls_is_refused(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.offer(mechanisms("PLAIN", "LOGIN", "DIGEST-MD5", "ANONYMOUS", "EXTERNAL"))

    server = FakeServer(script, context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<auth" not in server.received


@pytest.mark.parametrize("direct", [False, True], ids=["STARTTLS", "direct TLS"])
async def test_a_certificate_of_an_unknown_authority(tmp_path: Path, trust: Trust, direct: bool) -> None:
    async def script(peer: Peer) -> None:
        if not direct:
            await peer.start_tls()

    unknown = Trust(tmp_path, DOMAIN)
    server = FakeServer(script, context=unknown.context, direct=direct)
    error = await outcome(server, trust, connections=0 if direct else 2)
    assert type(error) is CertificateError
    assert "`ca`" in str(error)


@pytest.mark.parametrize("direct", [False, True], ids=["STARTTLS", "direct TLS"])
async def test_a_certificate_of_another_host(tmp_path: Path, direct: bool) -> None:
    async def script(peer: Peer) -> None:
        if not direct:
            await peer.start_tls()

    other = Trust(tmp_path, "other.example")
    server = FakeServer(script, context=other.context, direct=direct)
    error = await outcome(server, other, connections=0 if direct else 2)
    assert type(error) is CertificateError
    assert "ostname mismatch" in str(error)


async def test_the_systems_authorities_do_not_hold_for_a_self_signed_certificate(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()

    async with FakeServer(script, context=trust.context) as server:
        assert type(await refused(XmppLink(server.account()))) is CertificateError


async def test_direct_tls_to_a_server_that_speaks_none() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(HEADER)

    async with FakeServer(script) as server:
        assert type(await refused(XmppLink(server.account(tls="direct")))) is SecurityError
        assert b"<stream" not in server.received


def _in_clear_with_proceed(text: str) -> Script:
    return in_clear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + text)


def _before_features(text: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.until("<stream:stream[^>]*>")
        await peer.send(HEADER + text)

    return script


def _before_login(text: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.until("<stream:stream[^>]*>")
        await peer.send(HEADER + text + features(mechanisms("SCRAM-SHA-256")))

    return script


FORGED = {
    "request": INJECTED,
    "notification": "<message from='pubsub.localhost'>"
    "<event xmlns='http://jabber.org/protocol/pubsub#event'>"
    "<items node='n'><item id='1'><x xmlns='y'/></item></items></event></message>",
    "presence": f"<presence from='device-1@{DOMAIN}/x'/>",
    "resumption": "<resumed xmlns='urn:xmpp:sm:3' h='0' previd='1'/>",
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("when", [_before_features, in_clear, _in_clear_with_proceed, _before_login])
async def test_nothing_is_acted_on_before_tls_and_login(
    trust: Trust, when: Callable[[str], Script], forged: str
) -> None:
    called: list[object] = []

    async def handler(what: object) -> None:
        called.append(what)

    async with FakeServer(when(FORGED[forged]), context=trust.context) as server:
        link = XmppLink(server.account(ca=trust.ca))
        link.serve(COMMAND, handler)
        link.on_presence(handler)
        assert type(await refused(link)) is SecurityError
    assert called == []


async def test_features_that_come_in_clear_after_the_start_of_tls(trust: Trust) -> None:
    forged = features(STARTTLS, mechanisms("SCRAM-SHA-1"))
    server = FakeServer(_in_clear_with_proceed(forged), context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert server.received.count(b"<starttls") == 2  # one for each connection
    assert b"<auth" not in server.received
