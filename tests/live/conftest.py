"""What the live tests share: a site on Prosody, and one on ejabberd."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iotxmpp.server import ServerKind, ServerProcess
from tests.live.site import Site


@pytest.fixture(params=[str(kind) for kind in ServerKind])
def shared_server(request: pytest.FixtureRequest) -> ServerProcess:
    """A real server that many tests share."""
    started: ServerProcess = request.getfixturevalue(request.param)
    return started


@pytest.fixture
async def site(shared_server: ServerProcess, tmp_path: Path) -> AsyncIterator[Site]:
    """This test's accounts and devices."""
    async with Site(shared_server, tmp_path) as site:
        yield site
