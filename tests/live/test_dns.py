"""Where the server is, by DNS: a real Prosody, and a nameserver on loopback."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
from slixmpp.xmlstream import xmlstream

from iotxmpp.account import Account
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.server.settings import free_port
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.trust import DIRECT_TLS_PORT, STARTTLS_PORT
from tests.dns_stub import DnsStub
from tests.live.site import quick, until
from tests.proxy import Proxy
from tests.servers import finish, server_directory

DOMAIN = "farm.test"
HOST = "xmpp.elsewhere.test"
STARTTLS = f"_xmpp-client._tcp.{DOMAIN}"
DIRECT = f"_xmpps-client._tcp.{DOMAIN}"

Way = Literal["auto", "direct", "starttls"]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A Prosody whose domain is no name that a machine knows by itself."""
    with server_directory() as folder:
        server = ServerProcess(ServerSpec(kind=ServerKind.PROSODY, directory=folder, domain=DOMAIN))
        finish(server.start())
        try:
            yield server
        finally:
            finish(server.stop())


@pytest.fixture
async def dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DnsStub]:
    """The nameserver that links ask; it knows the host, and no service yet."""
    async with DnsStub() as dns:
        dns.address(HOST, "127.0.0.1")
        monkeypatch.setattr(xmlstream, "default_resolver", dns.resolver)
        yield dns


def account(server: ServerProcess, tls: Way = "auto") -> Account:
    """An account file without host and port, as for any server that DNS knows."""
    return server.controller.model_copy(update={"host": None, "port": None, "tls": tls})


def reached(link: XmppLink) -> tuple[str, int]:
    """The address at the other end; it must speak TLS."""
    assert link._client is not None
    assert link._client.encrypted
    assert link._client.transport is not None
    host, port = link._client.transport.get_extra_info("peername")
    return host, port


def services_asked(dns: DnsStub) -> set[str]:
    return {name for kind, name in dns.asked if kind == "SRV"}


async def test_the_record_of_the_domain_says_host_and_port(server: ServerProcess, dns: DnsStub) -> None:
    dns.service(STARTTLS, HOST, server.port)
    async with XmppLink(account(server)) as link:
        assert reached(link) == ("127.0.0.1", server.port)
        assert link.jid.startswith(f"{server.controller.jid}/")
    assert services_asked(dns) == {STARTTLS, DIRECT}
    assert ("A", HOST) in dns.asked


async def test_a_record_for_direct_tls_leads_there_and_the_certificate_is_the_domains(
    server: ServerProcess, dns: DnsStub
) -> None:
    dns.service(DIRECT, HOST, server.direct_port)
    async with XmppLink(account(server)) as link:
        assert reached(link) == ("127.0.0.1", server.direct_port)


@pytest.mark.parametrize("first", [STARTTLS, DIRECT])
async def test_the_records_priority_decides(server: ServerProcess, dns: DnsStub, first: str) -> None:
    ports = {STARTTLS: server.port, DIRECT: server.direct_port}
    for name, port in ports.items():
        dns.service(name, HOST, port, priority=5 if name == first else 10)
    async with XmppLink(account(server)) as link:
        assert reached(link) == ("127.0.0.1", ports[first])


async def test_a_server_that_does_not_answer_is_passed_over_for_the_next(
    server: ServerProcess, dns: DnsStub
) -> None:
    dns.service(STARTTLS, HOST, free_port(), priority=1)
    dns.service(STARTTLS, HOST, server.port, priority=2)
    async with XmppLink(account(server)) as link:
        assert reached(link) == ("127.0.0.1", server.port)


@pytest.mark.parametrize(("tls", "name"), [("direct", DIRECT), ("starttls", STARTTLS)])
async def test_one_way_to_tls_asks_for_its_own_record_alone(
    server: ServerProcess, dns: DnsStub, tls: Way, name: str
) -> None:
    ports = {STARTTLS: server.port, DIRECT: server.direct_port}
    for each, port in ports.items():
        dns.service(each, HOST, port)
    async with XmppLink(account(server, tls)) as link:
        assert reached(link) == ("127.0.0.1", ports[name])
    assert services_asked(dns) == {name}


@pytest.mark.parametrize("tls", ["auto", "starttls", "direct"])
async def test_without_a_record_it_is_the_domain_itself_at_the_usual_port(
    server: ServerProcess, dns: DnsStub, tls: Way
) -> None:
    port = DIRECT_TLS_PORT if tls == "direct" else STARTTLS_PORT
    real = server.direct_port if tls == "direct" else server.port
    host = ".".join(["127", *(str(2 + secrets.randbelow(250)) for _ in range(3))])
    dns.address(DOMAIN, host)
    async with Proxy("127.0.0.1", real, at=(host, port)), XmppLink(account(server, tls)) as link:
        assert reached(link) == (host, port)
    assert (
        services_asked(dns) == {"auto": {STARTTLS, DIRECT}, "starttls": {STARTTLS}, "direct": {DIRECT}}[tls]
    )
    assert ("A", DOMAIN) in dns.asked


async def test_each_new_connection_asks_again(server: ServerProcess, dns: DnsStub) -> None:
    async with Proxy("127.0.0.1", server.port) as old, Proxy("127.0.0.1", server.port) as new:
        dns.service(STARTTLS, HOST, old.port)
        async with XmppLink(account(server), backoff=quick()) as link:
            assert reached(link) == ("127.0.0.1", old.port)
            dns.forget(STARTTLS)
            dns.service(STARTTLS, HOST, new.port)
            states: list[bool] = []
            link.on_state(lambda state: states.append(state.up))
            old.refuse()
            # It may be down for a moment only, between two looks.
            await until(lambda: True in states, "the link is up at the new place")
            assert reached(link) == ("127.0.0.1", new.port)
