"""The two ends of each measurement: the controllers' end in this process, each device in one of its own.

Times are of `time.monotonic_ns`, one clock for all processes of a Linux machine: a device publishes the
moment at which it does, and the handler here subtracts it.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from accounts import AGENT, RAW, Accounts
from link_device import NOOP
from raw_slixmpp import RawClient

from iotxmpp import Account, Controller, Reading
from iotxmpp.addresses import DeviceNodes
from iotxmpp.agent.outbox.settings import STATE_VARIABLE
from iotxmpp.server import ServerProcess
from iotxmpp.xmpp import XmppLink

TIMEOUT = 10.0
_HERE = Path(__file__).parent

Once = Callable[[], Awaitable[int]]
"""Measures one time, in nanoseconds."""


class DeviceProcess:
    """A device's process, and the wait for what it publishes."""

    def __init__(self, given: asyncio.StreamWriter, said: asyncio.StreamReader) -> None:
        self._given = given
        self._said = said
        self._arrived: asyncio.Future[int] | None = None

    async def begin(self, identity: Mapping[str, Any]) -> str:
        """Tells it who it is; returns its JID when it is online."""
        self._given.write(json.dumps(identity).encode() + b"\n")
        async with asyncio.timeout(TIMEOUT):
            jid = (await self._said.readline()).decode().strip()
        if not jid:
            raise RuntimeError("a device's process ended before it was online")
        return jid

    async def publish(self) -> int:
        """Has it publish one reading; returns the nanoseconds from there to our handler."""
        self._arrived = asyncio.get_running_loop().create_future()
        self._given.write(b"\n")
        async with asyncio.timeout(TIMEOUT):
            return await self._arrived

    def arrived(self, now: int, published: int) -> None:
        """A handler was entered now, for what was published then."""
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(now - published)


@asynccontextmanager
async def raw_ends(
    server: ServerProcess, accounts: Accounts, folder: Path
) -> AsyncIterator[tuple[Once, Once]]:
    """Two plain clients: an IQ round trip, and a notification."""
    node = DeviceNodes(service=server.service, device=RAW).readings.node

    def identity(account: Account) -> dict[str, Any]:
        password = account.password.get_secret_value()
        server_at = {"host": account.host, "port": server.port, "ca": str(account.ca)}
        return {
            "jid": account.jid,
            "password": password,
            "service": account.service,
            "node": node,
            **server_at,
        }

    client = RawClient(identity(accounts.plain))
    async with _device_process("raw_slixmpp.py", folder) as device:

        def notified(payload: Element) -> None:
            device.arrived(time.monotonic_ns(), int(payload.text or ""))

        client.on_item(notified)
        await client.start()
        jid = await device.begin(identity(accounts.raw))
        yield _timed(lambda: client.call(jid)), device.publish
        await client.close()


@asynccontextmanager
async def link_ends(accounts: Accounts, folder: Path) -> AsyncIterator[tuple[Once]]:
    """Two links: a request, and its answer."""
    async with (
        _device_process("link_device.py", folder) as device,
        XmppLink(accounts.plain) as link,
    ):
        jid = await device.begin(_identity(accounts.link))
        yield (_timed(lambda: link.call(jid, Element(NOOP))),)


@asynccontextmanager
async def iotxmpp_ends(
    server: ServerProcess, accounts: Accounts, folder: Path
) -> AsyncIterator[tuple[Once, Once, Once]]:
    """A controller and an agent: a command of each kind, and a reading."""
    async with _device_process("agent_device.py", folder) as device:
        controller = Controller(
            server.controller, devices=[AGENT], store=f"sqlite:///{folder / 'controller.db'}"
        )

        @controller.on_reading("stamp")
        async def took(reading: Reading) -> None:
            device.arrived(time.monotonic_ns(), int(reading.value))

        await device.begin(_identity(accounts.agent))
        async with controller:
            handle = await controller.wait_for(AGENT, timeout=TIMEOUT)
            yield (
                _timed(lambda: handle.call("again")),
                _timed(lambda: handle.call("once")),
                device.publish,
            )


@asynccontextmanager
async def _device_process(script: str, folder: Path) -> AsyncIterator[DeviceProcess]:
    """Starts a device's process, with its files in a folder, and ends it by ending its input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_HERE / script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, STATE_VARIABLE: str(folder)},
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError(f"{script} was started without pipes")
    try:
        yield DeviceProcess(process.stdin, process.stdout)
    finally:
        process.stdin.close()
        await process.wait()


def _identity(account: Account) -> dict[str, Any]:
    return {**account.model_dump(mode="json"), "password": account.password.get_secret_value()}


def _timed(work: Callable[[], Awaitable[object]]) -> Once:
    async def once() -> int:
        started = time.monotonic_ns()
        await work()
        return time.monotonic_ns() - started

    return once
