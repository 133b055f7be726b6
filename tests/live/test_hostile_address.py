"""What the link does with hosts and ports where its server is not."""

import gc
from pathlib import Path

import pytest

from iotxmpp.errors import ConfigError, HostError, SecurityError
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp import trust as trust_module
from tests.fake_server import DOMAIN, HEADER, FakeServer, Peer, silence
from tests.live.hostile import Trust, outcome, refused

pytestmark = pytest.mark.usefixtures("short_attempts")


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
