"""What the live tests share: a site on Prosody, and one on ejabberd."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from iotxmpp.server import ServerKind, ServerProcess
from iotxmpp.xmpp import XmppLink
from tests.live.site import Site

Administered = tuple[ServerProcess, XmppLink]
"""A real server that many tests share, and an open link of its administrator."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[str(kind) for kind in ServerKind])
async def administered(request: pytest.FixtureRequest) -> AsyncIterator[Administered]:
    """One server after the other; each login of an administrator takes its time."""
    server: ServerProcess = request.getfixturevalue(request.param)
    async with XmppLink(server.admin) as admin:
        yield server, admin


@pytest_asyncio.fixture(loop_scope="module")
async def site(administered: Administered, tmp_path: Path) -> AsyncIterator[Site]:
    """This test's accounts and devices; for tests that run on their module's loop."""
    server, admin = administered
    async with Site(server, tmp_path, admin=admin) as site:
        yield site
