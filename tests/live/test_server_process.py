"""Private servers, really started: Prosody and ejabberd."""

import asyncio
import os
import signal
import socket
import ssl
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

from iotxmpp.account import Account
from iotxmpp.errors import ConfigError
from iotxmpp.server import (
    PortTakenError,
    ServerDirectoryError,
    ServerKind,
    ServerMissingError,
    ServerProcess,
    ServerSpec,
    ServerStartError,
    programs,
)
from tests.servers import server_directory

STARTTLS = "urn:ietf:params:xml:ns:xmpp-tls"
ADMIN = "http://jabber.org/protocol/admin"


@pytest.fixture(params=ServerKind)
def kind(request: pytest.FixtureRequest) -> ServerKind:
    chosen: ServerKind = request.param
    return chosen


@pytest.fixture
def server(request: pytest.FixtureRequest, kind: ServerKind) -> ServerProcess:
    """The one of the whole run."""
    shared: ServerProcess = request.getfixturevalue(str(kind))
    return shared


@pytest.fixture
def directory() -> Iterator[Path]:
    with server_directory() as folder:
        yield folder


StandIn = Callable[[str], None]


@pytest.fixture
def stand_in(kind: ServerKind, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Puts a shell script in the place of the server's program."""
    found = programs.find(kind)
    assert found is not None
    with server_directory() as folder:
        folder.chmod(0o755)
        program = folder / "program"

        def use(script: str) -> None:
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
            changed = programs.Programs(executable=program, ebin=found.ebin)
            monkeypatch.setattr(programs, "find", lambda _kind: changed)

        yield use


def stream(sock: socket.socket, domain: str) -> str:
    """Opens a stream and returns the server's features."""
    sock.sendall(
        b"<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'>" % domain.encode()
    )
    return receive(sock, b"</stream:features>")


def receive(sock: socket.socket, until: bytes) -> str:
    text = b""
    while until not in text:
        chunk = sock.recv(4096)
        assert chunk, f"the stream ended after {text!r}"
        text += chunk
    return text.decode()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def family(pid: int) -> set[int]:
    """A process and all below it: Erlang's helpers lead sessions and groups of their own."""
    below = {
        int(child)
        for children in Path(f"/proc/{pid}/task").glob("*/children")
        for child in children.read_text().split()
    }
    return {pid}.union(*(family(child) for child in below))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: set[int], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while remaining := {pid for pid in pids if alive(pid)}:
        assert time.monotonic() < deadline, f"left behind: {remaining}"
        time.sleep(0.05)


def _first(up: asyncio.Future[str], event: str, _: object) -> None:
    if not up.done():
        up.set_result(event)


@asynccontextmanager
async def client(account: Account) -> AsyncIterator[ClientXMPP]:
    """A session of an account, by slixmpp as it comes."""
    xmpp = ClientXMPP(account.jid, account.password.get_secret_value())
    xmpp.ca_certs = account.ca
    xmpp.enable_direct_tls = False
    for name in ("xep_0004", "xep_0030", "xep_0050", "xep_0060"):
        xmpp.register_plugin(name)
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    for event in ("session_start", "failed_all_auth", "connection_failed"):
        xmpp.add_event_handler(event, partial(_first, up, event))
    try:
        xmpp.connect(account.host, account.port)
        assert await asyncio.wait_for(up, 10) == "session_start"
        yield xmpp
    finally:
        xmpp.cancel_connection_attempt()
        await xmpp.disconnect(wait=1)


async def admin_command(
    admin: ClientXMPP, domain: str, node: str, fields: dict[str, str | list[str]]
) -> None:
    """Runs a command of XEP-0133."""
    adhoc: Any = admin.plugin["xep_0050"]
    first = await adhoc.send_command(domain, f"{ADMIN}#{node}", timeout=5)
    forms: Any = admin.plugin["xep_0004"]
    form = forms.make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value=ADMIN)
    for var, value in fields.items():
        form.add_field(var=var, value=value)
    session = first["command"]["sessionid"]
    answer = await adhoc.send_command(
        domain, f"{ADMIN}#{node}", action="complete", payload=form, sessionid=session, timeout=5
    )
    assert answer["command"]["status"] == "completed"
    assert not [note for note in answer["command"]["notes"] if note[0] == "error"]


# On the running server


def test_before_tls_nothing_but_tls_is_offered(server: ServerProcess) -> None:
    with connect(server.port) as plain:
        features = stream(plain, server.domain)
        assert STARTTLS in features
        assert "mechanism" not in features
        plain.sendall(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>")
        answer = receive(plain, b">")
    assert "success" not in answer


@pytest.mark.parametrize("direct", [False, True])
def test_tls_is_trusted_and_offers_scram_alone(server: ServerProcess, direct: bool) -> None:
    trust = ssl.create_default_context(cafile=server.ca)
    with connect(server.direct_port if direct else server.port) as sock:
        if not direct:
            stream(sock, server.domain)
            sock.sendall(f"<starttls xmlns='{STARTTLS}'/>".encode())
            assert "<proceed" in receive(sock, b">")
        with trust.wrap_socket(sock, server_hostname=server.domain) as secured:
            assert secured.version() in {"TLSv1.2", "TLSv1.3"}
            features = stream(secured, server.domain)
    mechanisms = [part.partition("<")[0] for part in features.split("<mechanism>")[1:]]
    assert "SCRAM-SHA-256" in mechanisms
    assert all(name.startswith("SCRAM-SHA-256") for name in mechanisms)


def test_no_other_authority_vouches_for_it(server: ServerProcess) -> None:
    with connect(server.direct_port) as sock, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(sock, server_hostname=server.domain)


def test_old_tls_is_refused(server: ServerProcess) -> None:
    old = ssl.create_default_context(cafile=server.ca)
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with connect(server.direct_port) as sock, pytest.raises(OSError, match=r"PROTOCOL|reset|EOF|HANDSHAKE"):
        old.wrap_socket(sock, server_hostname=server.domain)


def test_erlang_is_alone(ejabberd: ServerProcess) -> None:
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in family(ejabberd.pid)}
    assert {"beam.smp", "erl_child_setup"} <= names
    assert "epmd" not in names


def test_it_listens_on_loopback_alone_and_without_an_administrators_rights(server: ServerProcess) -> None:
    listening = {
        int(fields[1].rpartition(":")[2], 16): fields[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for fields in (line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    assert {listening[server.port], listening[server.direct_port]} == {"0100007F"}
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_the_account_files_load(server: ServerProcess) -> None:
    assert Account.load(server.admin_file) == server.admin
    assert Account.load(server.controller_file) == server.controller
    assert (server.admin.port, server.admin.service) == (server.port, server.service)


def test_no_password_lies_where_the_server_reads_or_is_seen_by_others(server: ServerProcess) -> None:
    secrets = [account.password.get_secret_value() for account in (server.admin, server.controller)]
    secrets += [",".join(str(byte) for byte in secret.encode()) for secret in secrets]
    texts = [path.read_bytes() for path in server.spec.directory.glob("*/**/*") if path.is_file()]
    texts += [Path(f"/proc/{server.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    assert not [secret for secret in secrets for text in texts if secret.encode() in text]


async def test_the_admin_adds_and_deletes_accounts(server: ServerProcess) -> None:
    guest = server.admin.model_copy(update={"jid": f"{'a-' * 31}a@{server.domain}"})
    password = guest.password.get_secret_value()
    async with client(server.admin) as admin:
        fields: dict[str, str | list[str]] = {
            "accountjid": guest.jid,
            "password": password,
            "password-verify": password,
        }
        await admin_command(admin, server.domain, "add-user", fields)
        async with client(guest) as session:
            assert session.boundjid.bare == guest.jid
        await admin_command(admin, server.domain, "delete-user", {"accountjids": [guest.jid]})


async def test_others_add_no_accounts(server: ServerProcess) -> None:
    async with client(server.controller) as controller:
        adhoc: Any = controller.plugin["xep_0050"]
        with pytest.raises(IqError) as refused:
            await adhoc.send_command(server.domain, f"{ADMIN}#add-user", timeout=5)
    assert refused.value.condition in {"forbidden", "not-allowed"}


async def test_pubsub_is_closed(server: ServerProcess) -> None:
    node = f"iot/{'a-' * 31}a/readings"
    async with client(server.admin) as admin, client(server.controller) as controller:
        ours: Any = admin.plugin["xep_0060"]
        theirs: Any = controller.plugin["xep_0060"]
        with pytest.raises(IqError) as refused:
            await theirs.create_node(server.service, node, timeout=5)
        assert refused.value.condition == "forbidden"
        await ours.create_node(server.service, node, timeout=5)
        try:
            for attempt in (theirs.subscribe, theirs.get_items):
                with pytest.raises(IqError) as refused:
                    await attempt(server.service, node, timeout=5)
                assert refused.value.condition in {"forbidden", "not-allowed", "closed-node"}
            with pytest.raises(IqError) as refused:
                await theirs.publish(server.service, node, payload=Element("{urn:x}x"), timeout=5)
            assert refused.value.condition == "forbidden"
        finally:
            await ours.delete_node(server.service, node, timeout=5)


# From start to stop


async def test_stopping_leaves_nothing(kind: ServerKind, directory: Path) -> None:
    async with ServerProcess(ServerSpec(kind=kind, directory=directory)) as server:
        port = server.port
        async with client(server.controller):
            pass
        members = family(server.pid)
    assert not server.running
    await asyncio.to_thread(wait_until_gone, members)
    with pytest.raises(ConnectionRefusedError):
        connect(port)
    await server.stop()


async def test_a_restart_keeps_ports_accounts_nodes_items_and_certificates(
    kind: ServerKind, directory: Path
) -> None:
    node, payload = "iot/device-1/about", Element("{urn:x}about", {"a": "1"})
    spec = ServerSpec(kind=kind, directory=directory, domain="iot.example.org")
    async with ServerProcess(spec) as server:
        before = (server.port, server.direct_port, server.admin, server.controller, server.ca.read_bytes())
        async with client(server.admin) as admin:
            pubsub: Any = admin.plugin["xep_0060"]
            await pubsub.create_node(server.service, node, timeout=5)
            await pubsub.publish(server.service, node, id="current", payload=payload, timeout=5)
    async with ServerProcess(spec) as server:
        after = (server.port, server.direct_port, server.admin, server.controller, server.ca.read_bytes())
        async with client(server.admin) as admin, client(server.controller):
            pubsub = admin.plugin["xep_0060"]
            kept = await pubsub.get_items(server.service, node, timeout=5)
            items = kept.xml.findall(".//{http://jabber.org/protocol/pubsub}item")
    assert after == before
    assert [(item.get("id"), item[0].tag, item[0].get("a")) for item in items] == [
        ("current", payload.tag, "1")
    ]


async def test_a_killed_server_starts_again(kind: ServerKind, directory: Path) -> None:
    async with ServerProcess(ServerSpec(kind=kind, directory=directory)) as server:
        watcher = asyncio.create_task(server.wait())
        pid, port, members = server.pid, server.port, family(server.pid)
        await server.kill()
        assert await asyncio.wait_for(watcher, 5) == -signal.SIGKILL
        assert not server.running
        await server.restart()
        assert (server.port, server.running) == (port, True)
        assert server.pid != pid
        async with client(server.admin):
            pass
        await asyncio.to_thread(wait_until_gone, members)


async def test_a_lost_account_file_is_made_again_and_works(kind: ServerKind, directory: Path) -> None:
    async with ServerProcess(ServerSpec(kind=kind, directory=directory)) as server:
        before = server.admin.password
        server.admin_file.unlink()
        await server.restart()
        assert server.admin.password != before
        async with client(server.admin):
            pass


@pytest.mark.parametrize("frozen", [False, True])
async def test_it_ends_with_a_parent_that_is_killed(kind: ServerKind, directory: Path, frozen: bool) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from iotxmpp.server import ServerKind, ServerProcess, ServerSpec

        async def main() -> None:
            server = ServerProcess(ServerSpec(kind=ServerKind(sys.argv[1]), directory=Path(sys.argv[2])))
            await server.start()
            print(server.pid, flush=True)
            await server.wait()

        asyncio.run(main())
        """
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(kind), str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    members = family(pid)
    assert alive(pid)
    if frozen:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(wait_until_gone, members)
    async with ServerProcess(ServerSpec(kind=kind, directory=directory)) as server:
        assert server.running


# What goes wrong


async def test_a_missing_server_says_how_to_get_it(
    kind: ServerKind, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(programs, "_SYSTEM_FOLDERS", ())
    server = ServerProcess(ServerSpec(kind=kind, directory=directory))
    with pytest.raises(ServerMissingError, match=f"apt-get install .*{kind}"):
        await server.start()
    assert os.listdir(directory) == []  # noqa: PTH208  # not one to wait for


async def test_a_taken_port_is_named(kind: ServerKind, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        server = ServerProcess(ServerSpec(kind=kind, directory=directory, port=port))
        with pytest.raises(PortTakenError, match=f"port {port} on 127.0.0.1"):
            await server.start()


async def test_two_servers_do_not_share_a_directory(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("iotxmpp.server.process._LOCK_TIMEOUT", 0.1)
    with pytest.raises(ServerDirectoryError, match="a server is running in"):
        await ServerProcess(server.spec).start()
    assert caplog.messages == [f"waiting for the server in {server.spec.directory} to end"]
    with pytest.raises(ServerStartError, match="running already"):
        await server.start()
    assert server.running


async def test_a_directory_with_other_things_is_refused(kind: ServerKind, directory: Path) -> None:
    (directory / "letter.txt").write_text("dear")
    with pytest.raises(ServerDirectoryError, match="holds other things"):
        await ServerProcess(ServerSpec(kind=kind, directory=directory)).start()


async def test_a_server_that_ends_while_starting_shows_its_log(
    kind: ServerKind, directory: Path, stand_in: StandIn
) -> None:
    stand_in("echo no room >&2; exit 3")
    server = ServerProcess(ServerSpec(kind=kind, directory=directory))
    with pytest.raises(ServerStartError, match=rf"{kind} ended with exit code 3 while starting\n.*no room"):
        await server.start()
    assert not server.running
    await server.stop()


async def test_a_server_that_never_accepts_is_ended(
    kind: ServerKind, directory: Path, stand_in: StandIn
) -> None:
    stand_in("exec sleep 60")
    server = ServerProcess(ServerSpec(kind=kind, directory=directory, start_timeout=0.2))
    with pytest.raises(ServerStartError, match=rf"{kind} accepts no clients after 0\.2 s: "):
        await server.start()
    assert not server.running


async def test_a_server_that_does_not_stop_is_killed(kind: ServerKind, directory: Path) -> None:
    async with ServerProcess(ServerSpec(kind=kind, directory=directory, stop_timeout=0.2)) as server:
        os.kill(server.pid, signal.SIGSTOP)
        await server.stop()
        assert await server.wait() == -signal.SIGKILL


async def test_a_broken_account_file_is_named(kind: ServerKind, directory: Path) -> None:
    async with ServerProcess(ServerSpec(kind=kind, directory=directory)) as server:
        server.admin_file.write_text("jid = ")
        with pytest.raises(ConfigError, match=r"admin\.toml: not TOML"):
            await server.restart()
        assert not server.running


async def test_a_broken_certificate_is_named(kind: ServerKind, directory: Path) -> None:
    async with ServerProcess(ServerSpec(kind=kind, directory=directory)) as server:
        server.ca.write_text("nonsense")
        with pytest.raises(ServerDirectoryError, match=r"certificates .* cannot be used.*remove .*ca\.pem"):
            await server.restart()
        server.ca.unlink()
        await server.restart()
        async with client(server.controller):
            pass


def test_nothing_is_said_of_a_server_that_was_not_started(kind: ServerKind, directory: Path) -> None:
    server = ServerProcess(ServerSpec(kind=kind, directory=directory))
    assert (server.domain, server.service, server.running) == ("localhost", "pubsub.localhost", False)
    with pytest.raises(ServerStartError, match="not started yet"):
        _ = server.port
