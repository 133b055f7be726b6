"""What the link does with servers that cheat or fail during the login."""

import time
from base64 import b64encode

import pytest

from iotxmpp.errors import CredentialsError, HostError, SecurityError
from tests.fake_server import HEADER, SASL, FakeServer, Peer, Scram, Script, mechanisms
from tests.live.hostile import Trust, outcome

pytestmark = pytest.mark.usefixtures("short_attempts")


async def _exchange(peer: Peer, scram: Scram) -> None:
    await peer.start_tls()
    await peer.offer(mechanisms("SCRAM-SHA-256"))
    await peer.say("challenge", scram.first(await peer.sasl("auth")))


@pytest.mark.parametrize(
    "scram",
    [
        Scram(iterations="1"),
        Scram(iterations="4095"),
        Scram(iterations="10000000"),
        Scram(iterations="9" * 5000),
        Scram(iterations="-4096"),
        Scram(iterations="many"),
        Scram(nonce="another"),
        Scram(nonce=""),
        Scram(salt=b""),
    ],
    ids=lambda scram: f"i={scram.iterations[:9]} r={scram.nonce} s={scram.salt!r}",
)
async def test_a_challenge_that_no_honest_server_makes(trust: Trust, scram: Scram) -> None:
    async def script(peer: Peer) -> None:
        await _exchange(peer, scram)
        await peer.sasl("response")
        await peer.say("success", b"v=AAAA")

    server = FakeServer(script, context=trust.context)
    began = time.monotonic()
    assert type(await outcome(server, trust)) is SecurityError
    assert time.monotonic() - began < 1.0
    assert b"<response" not in server.received


@pytest.mark.parametrize("challenge", [b"", b"hello", b"r,s,i", b"m=ext,r=1,s=YQ==,i=4096", b"\xff\x00"])
async def test_a_challenge_that_is_no_scram(trust: Trust, challenge: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.offer(mechanisms("SCRAM-SHA-256"))
        await peer.sasl("auth")
        await peer.say("challenge", challenge)

    assert type(await outcome(FakeServer(script, context=trust.context), trust)) is SecurityError


async def _then_a_session(peer: Peer) -> None:
    await peer.bind()


async def is_not_believed(script: Script, trust: Trust) -> None:
    """The link goes no further with this server, and says why."""
    server = FakeServer(script, context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<iq" not in server.received


@pytest.mark.parametrize(
    "last",
    [
        b"v=" + b64encode(bytes(32)),
        b"v=",
        b"v=!!!",
        b"",
        b"e=other-error",
        b"x",
    ],
)
async def test_a_success_without_the_servers_own_proof(trust: Trust, last: bytes) -> None:
    async def script(peer: Peer) -> None:
        scram = Scram()
        await _exchange(peer, scram)
        scram.last(await peer.sasl("response"))
        await peer.say("success", last)
        await _then_a_session(peer)

    await is_not_believed(script, trust)


async def test_a_success_that_skips_the_exchange(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.offer(mechanisms("SCRAM-SHA-256"))
        await peer.say("success", Scram().first(await peer.sasl("auth")))
        await _then_a_session(peer)

    await is_not_believed(script, trust)


@pytest.mark.parametrize("tag", ["success", "challenge", "failure"])
async def test_an_answer_to_a_login_that_was_never_tried(trust: Trust, tag: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.until("<stream:stream[^>]*>")
        await peer.send(f"{HEADER}<{tag} xmlns='{SASL}'/>")
        await _then_a_session(peer)

    await is_not_believed(script, trust)


async def test_a_session_without_a_login(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.bind()

    await is_not_believed(script, trust)


async def test_a_wrong_password_is_told_apart(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await _exchange(peer, Scram())
        await peer.sasl("response")
        await peer.send(f"<failure xmlns='{SASL}'><not-authorized/></failure>")

    error = await outcome(FakeServer(script, context=trust.context), trust)
    assert type(error) is CredentialsError
    assert "not-authorized" in str(error)


async def test_a_server_that_cannot_check_passwords_now(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await _exchange(peer, Scram())
        await peer.sasl("response")
        await peer.send(f"<failure xmlns='{SASL}'><temporary-auth-failure/></failure>")

    assert type(await outcome(FakeServer(script, context=trust.context), trust)) is HostError
