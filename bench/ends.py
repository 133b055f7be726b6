"""The two ends of each measurement: the controllers' end in this process, each device in one of its own.

Times are of `time.monotonic_ns`, one clock for all processes of a Linux machine: a device publishes the moment
at which it does, and the handler here subtracts it.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from raw_slixmpp import RawClient

from iotxmpp import Account, Controller, Reading
from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.server import ServerProcess
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner

HERE = Path(__file__).parent
TIMEOUT = 10.0
RAW, AGENT = DeviceId("raw"), DeviceId("agent")

Once = Callable[[], Awaitable[int]]
"""Measures one time, in nanoseconds."""


class Publisher:
    """A device's process, and the wait for what it publishes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._arrived: asyncio.Future[int] | None = None

    async def begin(self, identity: Mapping[str, Any]) -> str:
        """Tells it who it is; returns its JID when it is online."""
        self._write(json.dumps(identity).encode())
        assert self._process.stdout is not None  # noqa: S101  # for the type checker
        async with asyncio.timeout(TIMEOUT):
            return (await self._process.stdout.readline()).decode().strip()

    async def once(self) -> int:
        """Has it publish one reading; returns the nanoseconds from there to our handler."""
        self._arrived = asyncio.get_running_loop().create_future()
        self._write(b"")
        async with asyncio.timeout(TIMEOUT):
            return await self._arrived

    def arrived(self, published: int) -> None:
        """A handler was given what was published at that time."""
        took = time.monotonic_ns() - published
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(took)

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # for the type checker
        self._process.stdin.write(line + b"\n")


@asynccontextmanager
async def publisher(script: str) -> AsyncIterator[Publisher]:
    """Starts a device's process, and ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / script), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None  # noqa: S101  # for the type checker
    try:
        yield Publisher(process)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def raw_ends(server: ServerProcess, account: Account, device: Account) -> AsyncIterator[tuple[Once, Once]]:
    """Two plain clients: an IQ round trip, and a notification."""
    node = DeviceNodes(service=server.service, device=RAW).readings.node

    def identity(of: Account) -> dict[str, Any]:
        return {
            "jid": of.jid,
            "password": of.password.get_secret_value(),
            "host": of.host,
            "port": server.port,
            "ca": str(of.ca),
            "service": of.service,
            "node": node,
        }

    client = RawClient(identity(account))
    async with publisher("raw_slixmpp.py") as process:
        jid = await process.begin(identity(device))
        await client.start()

        def notified(payload: Element) -> None:
            process.arrived(int(payload.text or ""))

        client.on_item(notified)
        yield timed(lambda: client.call(jid)), process.once
        await client.disconnect()


@asynccontextmanager
async def iotxmpp_ends(account: Account, device: Account) -> AsyncIterator[tuple[Once, Once]]:
    """A controller and an agent: a command, and a reading."""
    with tempfile.TemporaryDirectory(prefix="iotxmpp-bench-") as folder:
        async with publisher("agent_device.py") as process:
            controller = Controller(account, store=f"sqlite:///{folder}/store.db", discover_every=0.2)

            @controller.on_reading("stamp")
            async def took(reading: Reading) -> None:
                process.arrived(int(reading.value))

            await process.begin(json.loads(device.model_dump_json()) | {"password": device.password.get_secret_value()})
            async with controller:
                handle = await controller.wait_for(AGENT, timeout=TIMEOUT)
                yield timed(lambda: handle.call("noop")), process.once


def timed(work: Callable[[], Awaitable[object]]) -> Once:
    """Measures how long it takes."""

    async def once() -> int:
        started = time.monotonic_ns()
        await work()
        return time.monotonic_ns() - started

    return once
