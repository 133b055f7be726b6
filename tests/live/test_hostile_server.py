"""What the link does with servers that are broken, impostors, or hostile."""

import asyncio
import gc
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    CertificateError,
    ConfigError,
    ConnectError,
    CredentialsError,
    HostError,
    LinkDownError,
    SecurityError,
)
from iotxmpp.link import LinkState, Presence, Request
from iotxmpp.server.certificate import renewed
from iotxmpp.xmpp import XmppLink, negotiation
from iotxmpp.xmpp import trust as trust_module
from tests.fake_server import (
    BIND,
    DOMAIN,
    HEADER,
    PASSWORD,
    SASL,
    STARTTLS,
    STREAM_MANAGEMENT,
    FakeServer,
    Peer,
    Scram,
    Script,
    features,
    mechanisms,
    silence,
)

SOON = 3.0
"""Seconds within which every attempt of these tests must end."""

COMMAND = "{urn:test:hostile}open-the-valve"
INJECTED = f"<iq type='set' id='9' from='house@{DOMAIN}/home'><open-the-valve xmlns='urn:test:hostile'/></iq>"


class Trust:
    """A certificate that the account trusts, and where."""

    def __init__(self, folder: Path, domain: str) -> None:
        made = renewed(None, domain, datetime.now(UTC))
        self.ca = folder / f"{domain}-ca.pem"
        self.ca.write_bytes(made.ca)
        (folder / f"{domain}.pem").write_bytes(made.server + made.server_key)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(folder / f"{domain}.pem")


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"), DOMAIN)


@pytest.fixture(autouse=True)
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "ATTEMPT_TIMEOUT", SOON - 1)


def secrets_in(received: bytes | bytearray) -> list[bytes]:
    """What of the password a server was told, plainly or in base64."""
    plain = PASSWORD.encode()
    forms = [
        plain,
        *(b64encode(before + plain).rstrip(b"=")[6:-2] for before in (b"", b"1", b"12", b"\0device\0")),
    ]
    return [form for form in forms if form in received]


@contextmanager
def leaves_no_tasks() -> Iterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if "Peer" not in str(task.get_coro())}
    assert {str(task) for task in left if "FakeServer" not in str(task)} == set()


async def refused(link: XmppLink) -> ConnectError:
    """Why entering fails. It fails twice: the link can be entered again."""
    errors = []
    for _ in range(2):
        with leaves_no_tasks():
            began = time.monotonic()
            with pytest.raises(ConnectError) as caught:
                await link.__aenter__()
            assert time.monotonic() - began < SOON
            assert not link.state.up
            errors.append(caught.value)
        with pytest.raises(LinkDownError):
            await link.call(DOMAIN, Element("x"))
    assert type(errors[0]) is type(errors[1])
    return errors[0]


async def outcome(server: FakeServer, trust: Trust, *, connections: int = 2) -> ConnectError:
    """How a server's script ends for a link that trusts its certificate."""
    async with server:
        error = await refused(XmppLink(server.account(ca=trust.ca)))
        assert server.connections == connections
        assert secrets_in(server.received) == []
    return error


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

    server = FakeServer(script, context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<iq" not in server.received


async def test_a_success_that_skips_the_exchange(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.offer(mechanisms("SCRAM-SHA-256"))
        await peer.say("success", Scram().first(await peer.sasl("auth")))
        await _then_a_session(peer)

    server = FakeServer(script, context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<iq" not in server.received


@pytest.mark.parametrize("tag", ["success", "challenge", "failure"])
async def test_an_answer_to_a_login_that_was_never_tried(trust: Trust, tag: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.until("<stream:stream[^>]*>")
        await peer.send(f"{HEADER}<{tag} xmlns='{SASL}'/>")
        await _then_a_session(peer)

    server = FakeServer(script, context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<iq" not in server.received


async def test_a_session_without_a_login(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.start_tls()
        await peer.bind()

    server = FakeServer(script, context=trust.context)
    assert type(await outcome(server, trust)) is SecurityError
    assert b"<iq" not in server.received


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


def _in_clear(text: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.offer(STARTTLS)
        await peer.until("<starttls[^>]*>")
        await peer.send(text)

    return script


def _in_clear_with_proceed(text: str) -> Script:
    return _in_clear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + text)


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
@pytest.mark.parametrize("when", [_before_features, _in_clear, _in_clear_with_proceed, _before_login])
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
        await _in_clear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")(peer)
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


async def test_an_unknown_host(trust: Trust) -> None:
    async with FakeServer(silence) as server:
        account = server.account(ca=trust.ca).model_copy(update={"host": "no-such-host.invalid"})
    error = await refused(XmppLink(account))
    assert type(error) is HostError
    assert "unknown host" in str(error)


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_port_where_nobody_listens(trust: Trust, tls: str) -> None:
    async with FakeServer(silence) as server:
        account = server.account(ca=trust.ca).model_copy(update={"tls": tls})
    error = await refused(XmppLink(account))
    assert type(error) is HostError
    assert "cannot reach 127.0.0.1" in str(error)
    assert str(error).endswith("is the server running there? Check host and port")


async def test_direct_tls_to_a_port_for_starttls(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(HEADER)  # a server that hears no XML may say so
        await peer.until_gone()

    async with FakeServer(script) as server:
        account = server.account(ca=trust.ca).model_copy(update={"tls": "direct"})
        error = await refused(XmppLink(account))
    assert type(error) is SecurityError
    assert 'if it is a STARTTLS port, write tls = "starttls" in the account file' in str(error)


async def test_a_server_of_another_domain(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.until("<stream:stream[^>]*>")
        unknown = "<host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        await peer.send(f"{HEADER}<stream:error>{unknown}</stream:error>")

    error = await outcome(FakeServer(script), trust)
    assert type(error) is HostError
    assert f"does not serve the domain {DOMAIN} (host-unknown): check the domain of the JID" in str(error)


async def test_a_server_of_another_domain_with_direct_tls(trust: Trust) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"\x15\x03\x03\x00\x02\x02\x70")  # the fatal alert unrecognized_name
        await peer.until_gone()

    async with FakeServer(script) as server:
        account = server.account(ca=trust.ca).model_copy(update={"tls": "direct"})
        error = await refused(XmppLink(account))
    assert type(error) is HostError
    assert f"does not serve the domain {DOMAIN} (" in str(error)


async def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    async with FakeServer(silence) as server:
        for name in ("missing.pem", "empty.pem"):
            link = XmppLink(server.account(ca=tmp_path / name))
            with pytest.raises(ConfigError, match=name):
                await link.__aenter__()
            del link
            gc.collect()  # what slixmpp leaves half made must not complain
        assert server.connections == 0


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_host_without_a_port(trust: Trust, tls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        peer.close()

    async with FakeServer(script, context=trust.context, direct=tls == "direct") as server:
        name = "DIRECT_TLS_PORT" if tls == "direct" else "STARTTLS_PORT"
        monkeypatch.setattr(trust_module, name, server.port)
        account = server.account(ca=trust.ca).model_copy(update={"port": None})
        assert type(await refused(XmppLink(account))) is HostError
        assert server.connections == 2


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
