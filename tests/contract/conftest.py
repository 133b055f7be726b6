"""The contract's backends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from iotxmpp.server import ServerProcess
from tests.contract.backend import Backend
from tests.contract.memory_backend import MemoryBackend
from tests.contract.world import World
from tests.contract.xmpp_backend import XmppBackend


@pytest.fixture(params=["memory", "prosody", "ejabberd"])
def server(request: pytest.FixtureRequest) -> ServerProcess | None:
    """A real server; None for the one in memory."""
    if request.param == "memory":
        return None
    started: ServerProcess = request.getfixturevalue(request.param)
    return started


@pytest.fixture
async def backend(server: ServerProcess | None) -> AsyncIterator[Backend]:
    """One server after the other."""
    if server is None:
        yield MemoryBackend()
        return
    async with XmppBackend(server) as backend:
        yield backend


@pytest.fixture
async def world(backend: Backend) -> AsyncIterator[World]:
    """Links and nodes of one test."""
    async with AsyncExitStack() as open_links:
        yield World(backend, open_links)
