"""Private servers from start to stop, and after a kill."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from tests.live.private_server import alive, client, connect, family, wait_until_gone


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
