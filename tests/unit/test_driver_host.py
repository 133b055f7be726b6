"""What the host driver tells of a machine that has lost something."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import device_profiles
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.host import HostDriver
from iotxmpp.agent.profiled import equip
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until


def machine(folder: Path) -> dict[str, object]:
    """A machine with a disk, a processor of 47.8 Cel and 25 % of its memory in use."""
    (folder / "meminfo").write_text("MemTotal:  8000 kB\nMemAvailable:   6000 kB\n")
    (folder / "thermal_zone0").mkdir()
    (folder / "thermal_zone0/type").write_text("cpu-thermal\n")
    (folder / "thermal_zone0/temp").write_text("47800\n")
    (folder / "usb").mkdir()
    return {"proc": str(folder), "thermal": str(folder), "disk": str(folder / "usb")}


def host(settings: dict[str, object]) -> HostDriver:
    return HostDriver(profile=device_profiles.load("host"), settings=settings)


async def test_what_was_there_and_is_gone_is_its_channels_error(tmp_path: Path) -> None:
    driver = host(machine(tmp_path))
    whole = await driver.read()
    assert whole.keys() == {"load", "memory-used", "disk-used", "cpu-temperature"}
    shutil.rmtree(tmp_path / "usb")
    shutil.rmtree(tmp_path / "thermal_zone0")
    values = await driver.read()
    assert values["memory-used"] == 25.0
    disk, warm = values["disk-used"], values["cpu-temperature"]
    assert isinstance(disk, OSError)
    assert disk.errno == errno.ENOENT
    assert disk.strerror is not None
    assert disk.strerror.startswith(
        f"{tmp_path}/usb: No such file or directory; is it plugged in and mounted?"
    )
    assert isinstance(warm, OSError)
    assert "no thermal zone of a processor; it was there before" in str(warm)
    (tmp_path / "usb").mkdir()
    assert isinstance((await driver.read())["disk-used"], float)


async def test_a_disk_that_the_settings_name_is_missed_from_the_start(tmp_path: Path) -> None:
    values = await host({**machine(tmp_path), "disk": str(tmp_path / "none")}).read()
    assert isinstance(values["disk-used"], OSError)
    assert "none: No such file or directory; is it plugged in and mounted?" in str(values["disk-used"])


async def test_a_folder_whose_disk_is_gone_does_not_tell_of_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = host(machine(tmp_path))
    mounted = True
    monkeypatch.setattr(Path, "is_mount", lambda path: mounted and path.name == "usb")
    assert isinstance((await driver.read())["disk-used"], float)
    mounted = False
    for _ in range(2):
        gone = (await driver.read())["disk-used"]
        assert isinstance(gone, OSError)
        assert "usb: no disk is mounted there any more; is it plugged in" in str(gone)
    mounted = True
    assert isinstance((await driver.read())["disk-used"], float)


@pytest.mark.parametrize(
    ("file", "data", "lost"),
    [
        ("meminfo", b"MemTotal: 8000 kB\nMemAvailable: 6000 kB\n\xff\n", set()),
        ("meminfo", b"\xff\xfe", {"memory-used"}),
        ("meminfo", b"MemTotal: 1 kB\nMemAvailable: " + b"9" * 400, {"memory-used"}),
        ("meminfo", b"MemTotal: 1 kB\nMemAvailable: " + b"9" * 5000, {"memory-used"}),
        ("meminfo", b"MemTotal: 0 kB\nMemAvailable: 0 kB\n", {"memory-used"}),
        ("thermal_zone0/temp", b"9" * 400, {"cpu-temperature"}),
        ("thermal_zone0/temp", b"9" * 5000, {"cpu-temperature"}),
        ("thermal_zone0/type", b"\xff", {"cpu-temperature"}),
    ],
)
async def test_what_the_kernel_never_says_takes_no_other_channel_along(
    tmp_path: Path, file: str, data: bytes, lost: set[str]
) -> None:
    settings = machine(tmp_path)
    (tmp_path / file).write_bytes(data)
    values = await host(settings).read()
    assert values.keys() == {"load", "memory-used", "disk-used", "cpu-temperature"} - lost
    assert not [value for value in values.values() if isinstance(value, OSError)]


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


async def test_a_disk_that_vanishes_is_a_problem_until_it_is_back(house: House, tmp_path: Path) -> None:
    text = 'schema=1\nid="box"\nversion="1.0.0"\ndriver={kind="host"}\n'
    text += '[readings.disk-used]\ntype="float"\nunit="/100"\nevery=0.02\n'
    profile, settings = parse_profile(text, "box.toml"), machine(tmp_path)
    agent = house.agent()
    equip(agent, profile, lambda: create_driver(profile, settings))
    async with agent:
        await until(lambda: bool(house.values("disk-used")))
        assert agent.status.problems == ()
        await asyncio.to_thread((tmp_path / "usb").rmdir)
        await until(lambda: len(agent.status.problems) == 1)
        problem = str(agent.status.problems)
        assert "disk-used: " in problem
        assert "is it plugged in and mounted?" in problem
        await asyncio.to_thread((tmp_path / "usb").mkdir)
        await until(lambda: agent.status.problems == ())
