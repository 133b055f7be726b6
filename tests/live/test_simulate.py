"""`iotxmpp simulate` at real servers, as a user starts it, seen by a controller."""

import asyncio
import json
import math
import re
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from iotxmpp import Controller, Device, Reading
from iotxmpp.account import Account
from iotxmpp.addresses import device_id
from iotxmpp.server.devices import add_device, list_devices
from iotxmpp.xmpp import XmppLink
from tests.live.site import Site, until
from tests.live.terminal import Ended, Terminal
from tests.servers import server_directory

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZES = {"prosody": (60, 40), "ejabberd": (12, 8)}
SECONDS = 24
SUMMARY = re.compile(
    r"^(\d+) of (\d+) devices got online, (\d+) were at the end; (\d+) readings .*, (\d+) commands answered, "
    r"(\d+) connections lost; (\d+) MB of memory$",
    re.MULTILINE,
)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


def summary(ended: Ended) -> list[int]:
    found = SUMMARY.search(ended.out)
    assert found is not None, ended
    return [int(number) for number in found.groups()]


class Seen:
    """A controller, and what it got."""

    def __init__(self, site: Site, account: Account) -> None:
        self.controller: Controller = site.controller(account)
        self.readings: list[tuple[str, Reading]] = []
        self.controller.on_reading(historical=True)(self._take)

    async def _take(self, reading: Reading, device: Device) -> None:
        self.readings.append((str(device.id), reading))

    def online(self, prefix: str) -> set[str]:
        devices = self.controller.devices.items()
        return {name for name, device in devices if name.startswith(prefix) and device.online}

    def of(self, device: str, channel: str, begins: float, ends: float) -> list[Reading]:
        """The readings of a channel that were read in that time."""
        return [
            reading
            for name, reading in self.readings
            if (name, reading.channel) == (device, channel) and begins <= reading.time < ends
        ]


@dataclass(frozen=True, kw_only=True)
class Spell:
    """When a device had which fault."""

    device: str
    fault: str
    begins: float
    ends: float


def spells(truth: Path) -> list[Spell]:
    began: dict[str, float] = {}
    found = []
    for line in map(json.loads, truth.read_text(encoding="utf-8").splitlines()):
        if line["on"]:
            began[line["device"]] = line["time"]
        else:
            begins = began.pop(line["device"])
            found.append(Spell(device=line["device"], fault=line["fault"], begins=begins, ends=line["time"]))
    assert began == {}
    return found


async def test_a_fleet_publishes_answers_and_fails_as_it_is_told(site: Site, terminal: Terminal) -> None:
    house = await site.account("house")
    prefix = "fleet-"  # the same devices have the same faults each time
    sensors, relays = SIZES[site.kind]
    truth = terminal.home / "truth.jsonl"
    seen = Seen(site, house)
    options = [
        *("--account", site.server.admin_file, "--controller", house.jid, "--prefix", prefix),
        *("--profile", f"bme280={sensors}", "--profile", f"relay4={relays}", "--seed", "11"),
        *("--every", "1", "--seconds", SECONDS, "--truth", truth),
        *("--fault", "stuck=3", "--fault", "spiky=3", "--fault", "silent=3", "--fault", "offline=3"),
    ]
    async with seen.controller, terminal.started("simulate", *options) as started:
        await until(lambda: len(seen.online(prefix)) == sensors + relays, "all are online", seconds=30)
        relay = seen.controller.device(f"{prefix}relay4-001")
        assert await relay.call("switch", channel=2, on=True) == {"relay/2": True}
        ended = await started.end()
    assert ended.code == 0, ended
    got_online, devices, _, values, commands, lost, _ = summary(ended)
    assert (got_online, devices, commands, lost) == (sensors + relays, sensors + relays, 1, 0)
    assert values > 10 * 3 * sensors
    assert len({name for name, _ in seen.readings if name.startswith(prefix)}) == sensors + relays
    check_faults(seen, spells(truth))
    await removed(site, terminal, sensors + relays, prefix)


def check_faults(seen: Seen, found: list[Spell]) -> None:
    """What the controller got is what the truth says."""
    assert sorted(spell.fault for spell in found) == sorted(["stuck", "spiky", "silent", "offline"] * 3)
    for spell in found:
        begins, ends = spell.begins + 0.2, spell.ends - 0.2  # a sample may be under way
        channel = "temperature" if "bme280" in spell.device else "relay/1"
        values = seen.of(spell.device, channel, begins, ends)
        ever = seen.of(spell.device, channel, 0, math.inf)
        if spell.fault == "silent":
            assert values == [], spell
            assert ever, spell
        if spell.fault == "stuck" and channel == "temperature":
            assert len(values) >= 3, spell
            assert len({each.value for each in values}) == 1, spell
            assert len({each.value for each in ever}) > 1, spell
        if spell.fault == "offline" and channel == "temperature":
            assert len(values) >= 3, spell
            assert min(each.received or 0 for each in values) >= ends, spell  # they came out of its outbox


async def removed(site: Site, terminal: Terminal, number: int, prefix: str) -> None:
    """Removes them all from the server again."""
    ended = await terminal.run("simulate", "--remove", "--account", site.server.admin_file)
    assert ended.code == 0, ended
    assert ended.err.splitlines()[-1] == f"{number} devices removed"
    left = await list_devices(site.provisioner, site.server.admin.service)
    assert [name for name in left if name.startswith(prefix)] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_well_and_the_next_run_uses_the_same_devices(
    site: Site, terminal: Terminal, number: signal.Signals
) -> None:
    folder, prefix = terminal.home / "devices", f"s{secrets.token_hex(3)}-"
    options = ["--account", site.server.admin_file, "--prefix", prefix, "--directory", folder]
    options += ["--profile", "bme280=3", "--outbox", "disk"]
    files = {}
    for run in range(2):
        async with terminal.started("simulate", *options) as started:
            await started.says("3 devices at", on="err")
            await asyncio.sleep(2.5)
            ended = await started.end(number)
        assert ended.code == 0, ended
        assert summary(ended)[:3] == [3, 3, 3]
        files[run] = {path.name: path.read_text() for path in folder.glob("*.toml")}
    assert len(files[0]) == 3
    assert files[0] == files[1]
    assert len(list(folder.glob("*.outbox.db"))) == 3
    ended = await terminal.run("simulate", *options, "--seconds", "2", "--remove")
    assert ended.code == 0, ended
    assert "3 devices removed" in ended.err
    assert [path.name for path in folder.iterdir()] == ["simulation.json"]


async def test_a_device_of_somebody_else_is_left_alone(site: Site, terminal: Terminal) -> None:
    prefix = f"s{secrets.token_hex(3)}-"
    account = await add_device(
        site.provisioner, site.server.admin, device_id(f"{prefix}pir-002"), controllers=()
    )
    ended = await terminal.run(
        *("simulate", "--account", site.server.admin_file, "--prefix", prefix, "--profile", "pir=3")
    )
    assert ended.code == 1
    assert f"{prefix}pir-002 is at " in ended.err
    async with XmppLink(account):  # its password is what it was
        pass
    left = await list_devices(site.provisioner, site.server.admin.service)
    assert [name for name in left if name.startswith(prefix)] == [f"{prefix}pir-002"]


async def test_who_is_no_administrator_is_told_so(site: Site, terminal: Terminal) -> None:
    file = terminal.home / "house.toml"
    (await site.account("house")).save(file)
    ended = await terminal.run("simulate", "--account", file, "--profile", "pir")
    assert ended.code == 7
    assert "is no administrator of" in ended.err


@pytest.mark.parametrize(("server", "most"), [("memory", 0.5), ("prosody", 1.0)])
async def test_a_hundred_devices_stay_small(
    terminal: Terminal, server: str, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints what docs/simulate.md tells; private servers leave nothing behind."""
    sizes = {}
    for number in (1, 100):
        ended = await terminal.run(
            *("simulate", "--server", server, "--profile", "bme280", "--count", number),
            *("--every", "1", "--seconds", "14"),
        )
        assert ended.code == 0, ended
        sizes[number] = summary(ended)[-1]
    each = (sizes[100] - sizes[1]) / 99
    with capsys.disabled():
        print(  # noqa: T201  # what the document tells
            f"\n{server}: {sizes[1]} MB with one device, and {each:.2f} MB for each more"
        )
    assert 0 < each < most
    assert terminal.left_behind == []
