"""What the live tests share: a site on Prosody, and one on ejabberd."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from iotxmpp.server import ServerKind, ServerProcess
from iotxmpp.xmpp import XmppLink, XmppProvisioner, negotiation
from tests.fake_server import DOMAIN
from tests.live.greenhouse import House, living
from tests.live.hostile import SOON, Trust
from tests.live.site import Site
from tests.live.terminal import Terminal
from tests.live.village import Ears, Village
from tests.servers import running, server_directory

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


@pytest.fixture(params=ServerKind)
def kind(request: pytest.FixtureRequest) -> ServerKind:
    """One server after the other, for tests of the servers themselves."""
    chosen: ServerKind = request.param
    return chosen


@pytest.fixture
def server(request: pytest.FixtureRequest, kind: ServerKind) -> ServerProcess:
    """The one of the whole run."""
    shared: ServerProcess = request.getfixturevalue(str(kind))
    return shared


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where a server of this test alone may live."""
    with server_directory() as folder:
        yield folder


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Its folder is open to a server's own user, too."""
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


@pytest.fixture
async def home(prosody: ServerProcess, terminal: Terminal) -> AsyncIterator[Site]:
    """A site on Prosody whose files lie in the terminal's folder."""
    async with Site(prosody, terminal.home) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def house(site: Site) -> AsyncIterator[House]:
    """A controller and a device that are connected."""
    async with living(site) as house:
        yield house


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """The certificate of a fake server."""
    return Trust(tmp_path_factory.mktemp("trust"), DOMAIN)


@pytest.fixture
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts to enter a server that end soon."""
    monkeypatch.setattr(negotiation, "ATTEMPT_TIMEOUT", SOON - 1)


@pytest.fixture(scope="module")
def village_server() -> Iterator[ServerProcess]:
    """A Prosody for the domain that the examples name."""
    with running(ServerKind.PROSODY, domain="example.org") as process:
        yield process


@pytest.fixture
async def village(village_server: ServerProcess, tmp_path: Path) -> AsyncIterator[Village]:
    """The accounts of one test."""
    async with XmppLink(village_server.admin) as admin:
        village = Village(village_server, XmppProvisioner(admin), tmp_path)
        await village.build()
        yield village


@pytest.fixture
async def ears(village: Village) -> AsyncIterator[Ears]:
    """A controller of ours, before any device is there."""
    ears = Ears(village.house)
    async with ears.controller:
        yield ears
