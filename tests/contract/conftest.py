"""The contract's backends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from iotxmpp.server import ServerProcess
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from tests.contract.backend import Backend
from tests.contract.memory_backend import MemoryBackend
from tests.contract.world import World
from tests.contract.xmpp_backend import XmppBackend


@dataclass(frozen=True, kw_only=True)
class Started:
    """A real server, and who administers it."""

    server: ServerProcess
    provisioner: XmppProvisioner


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["memory", "prosody", "ejabberd"])
async def started(request: pytest.FixtureRequest) -> AsyncIterator[Started | None]:
    """One real server after the other; None for the one in memory."""
    if request.param == "memory":
        yield None
        return
    server: ServerProcess = request.getfixturevalue(request.param)
    async with XmppLink(server.admin) as admin:
        yield Started(server=server, provisioner=XmppProvisioner(admin))


@pytest_asyncio.fixture(loop_scope="session")
async def backend(started: Started | None) -> AsyncIterator[Backend]:
    """Fresh accounts for each test."""
    if started is None:
        yield MemoryBackend()
        return
    async with XmppBackend(started.server, started.provisioner) as backend:
        yield backend


@pytest_asyncio.fixture(loop_scope="session")
async def world(backend: Backend) -> AsyncIterator[World]:
    """Links and nodes of one test."""
    async with AsyncExitStack() as open_links:
        yield World(backend, open_links)
