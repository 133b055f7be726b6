"""Devices are added, listed and removed by an administrator, and nothing else is touched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iotxmpp.server import ServerKind
from tests.live.cli_house import ELSEWHERE, can_log_in, one_line, saved
from tests.live.site import Site
from tests.live.terminal import Terminal


@pytest.fixture
async def house_of_its_own(request: pytest.FixtureRequest, terminal: Terminal) -> AsyncIterator[Site]:
    """A site on one of the servers."""
    async with Site(request.getfixturevalue(request.param), terminal.home) as site:
        yield site


ON_EACH_SERVER = pytest.mark.parametrize("house_of_its_own", list(map(str, ServerKind)), indirect=True)


@ON_EACH_SERVER
async def test_no_account_but_a_devices_is_renewed_or_removed(
    house_of_its_own: Site, terminal: Terminal
) -> None:
    site = house_of_its_own
    person, other = await site.account("person"), await site.account("other")
    device, admin = await site.device("greenhouse", person), site.server.admin
    known = await site.provisioner.nodes(site.server.service)
    file = site.server.admin_file
    expected: dict[tuple[object, ...], tuple[int, str]] = {
        ("add", "admin"): (2, "admin@localhost is the administrator"),
        ("add", "admin", "--force"): (2, "admin@localhost is the administrator"),
        ("remove", "admin"): (2, "admin@localhost is the administrator"),
        ("add", "controller", "--force"): (2, "controller@localhost is to be the controller"),
        ("remove", "controller"): (6, "no device controller at pubsub.localhost"),
        ("add", person.name, "--force"): (1, f"the account {person.jid} exists and is no device"),
        ("remove", other.name): (6, f"no device {other.name} at pubsub.localhost"),
        ("add", device.name): (1, f"device {device.name} exists at pubsub.localhost; renew it (--force)"),
    }
    ended = await asyncio.gather(*(terminal.run("device", *arguments, "-a", file) for arguments in expected))
    for (code, says), each in zip(expected.values(), ended, strict=True):
        assert each.code == code, each
        assert says in one_line(each)
    assert set(await site.provisioner.nodes(site.server.service)) == set(known)
    for account in (admin, site.server.controller, person, other, device):
        assert await can_log_in(account), account.jid


@ON_EACH_SERVER
async def test_only_an_administrator_administers(house_of_its_own: Site, terminal: Terminal) -> None:
    person = await house_of_its_own.account("person")
    device = await house_of_its_own.device("greenhouse", person)
    file = saved(person, terminal.home, "person")
    ended = await asyncio.gather(
        terminal.run("device", "list", "-a", file, "--json"),
        terminal.run("device", "remove", device.name, "-a", file),
        terminal.run("device", "add", "attic", "-a", file),
    )
    says = (
        f"{person.jid} is no administrator of localhost: give the administrator's account file with --account"
    )
    for each in ended:
        assert (each.code, one_line(each)) == (7, f"iotxmpp: {says}")
    assert await can_log_in(device)


async def test_an_output_that_cannot_be_written_is_told_before_the_server_is_asked(
    terminal: Terminal,
) -> None:
    account = saved(ELSEWHERE, terminal.home, "elsewhere")  # its server is not there: exit code 3
    taken = terminal.home / "taken"
    taken.mkdir()
    wrong = {
        Path("/proc/device.toml"): "No such file or directory",
        account / "device.toml": "Not a directory",
        account / "below" / "device.toml": "Not a directory",
        taken: "Is a directory",
        terminal.home / ("x" * 300): "File name too long",
    }
    before = sorted(terminal.home.rglob("*"))
    ended = await asyncio.gather(
        *(terminal.run("device", "add", "x", "-a", account, "--force", "-o", path) for path in wrong),
        terminal.run("device", "add", "x", "-a", account, "-o", terminal.home / "new" / "device.toml"),
    )
    assert ended.pop().code == 3
    for path, each in zip(wrong, ended, strict=True):
        assert each.code == 2, each
        assert one_line(each) == f"iotxmpp: account file {path} cannot be written: {wrong[path]}"
    assert sorted(terminal.home.rglob("*")) == before
