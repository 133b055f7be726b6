"""What goes wrong with private servers, and what is said then."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
from tests.live.private_server import client
from tests.servers import server_directory

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
