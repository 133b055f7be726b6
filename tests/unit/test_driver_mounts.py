"""A disk that is to be mounted and is not: its folder is there, and tells of another disk."""

from pathlib import Path

import pytest

import device_profiles
from iotxmpp.agent.drivers import mounts
from iotxmpp.agent.drivers.host import HostDriver
from iotxmpp.agent.drivers.mounts import not_mounted
from iotxmpp.doctor.machine import check_mount


def table(folder: Path, *points: str) -> Path:
    """An fstab that has these mount points."""
    rows = [f"UUID=1234 {point} ext4 defaults,nofail 0 2" for point in points]
    path = folder / "fstab"
    path.write_text(
        "\n".join(["# /none", "UUID=1 / ext4 defaults 0 1", "UUID=2 none swap sw 0 0", "", *rows])
    )
    return path


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    folder = tmp_path / "usb stick"
    folder.mkdir()
    return folder


async def test_a_disk_that_is_absent_at_the_start_is_a_problem(
    tmp_path: Path, usb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "FSTAB", table(tmp_path, str(usb).replace(" ", "\\040")))
    driver = HostDriver(profile=device_profiles.load("host"), settings={"disk": str(usb)})
    found = (await driver.read())["disk-used"]
    assert isinstance(found, OSError)
    assert f"no disk is mounted at {usb}; is it plugged in and mounted?" in str(found)
    monkeypatch.setattr(mounts, "FSTAB", table(tmp_path))
    assert isinstance((await driver.read())["disk-used"], float)


async def test_what_nobody_asks_for_is_not_looked_at(
    tmp_path: Path, usb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "FSTAB", table(tmp_path, str(usb)))
    driver = HostDriver(profile=device_profiles.load("host"), settings={})
    assert isinstance((await driver.read())["disk-used"], float)


def test_the_nearest_mount_point_counts(tmp_path: Path, usb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = usb / "a/b"
    below.mkdir(parents=True)
    fstab = table(tmp_path, str(usb).replace(" ", "\\040"), "/proc")
    assert not_mounted(below, fstab) == usb
    assert not_mounted(tmp_path, fstab) is None
    assert not_mounted(Path("/proc/self"), fstab) is None
    monkeypatch.setattr(mounts, "MOUNTS", fstab)  # as for a folder of the same disk that is mounted there
    assert not_mounted(below, fstab) is None
    assert not_mounted(below, tmp_path / "none") is None


def test_the_doctor_tells_it(tmp_path: Path, usb: Path) -> None:
    (found,) = check_mount(usb, table(tmp_path, str(usb).replace(" ", "\\040")))
    assert (found.level, found.what) == ("fault", f"no disk is mounted at {usb}")
    (wrong,) = check_mount(Path("a\0b"), table(tmp_path))
    assert wrong.level == "fault"
    (well,) = check_mount(usb, table(tmp_path))
    assert well.level == "ok"
