"""What a program may give for an outbox."""

import os
import stat
from pathlib import Path

import pytest

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.config import check_agent
from iotxmpp.agent.outbox.settings import OutboxSettings, outbox_settings
from iotxmpp.doctor.device import read_device
from iotxmpp.doctor.machine import check_disk
from iotxmpp.errors import InvalidError, StoreError
from tests.unit.outbox_house import opened


def default_files() -> list[Path | None]:
    accounts = ("g@example.org", "gateway@example.org", "g@example.com")
    return [outbox_settings(None).file(jid, DeviceId("g")) for jid in accounts]


def test_an_outbox_is_a_path_memory_or_whole_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = DeviceId("g")
    assert outbox_settings("memory").file("g@example.org", device) is None
    assert outbox_settings("here/x.db").file("g@example.org", device) == Path("here/x.db").absolute()
    whole = OutboxSettings(path=tmp_path / "x.db", bytes=10_000)
    assert outbox_settings(whole) is whole
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert default_files() == [
        tmp_path / "xdg" / "iotxmpp" / "g@example.org" / "outbox.db",
        tmp_path / "xdg" / "iotxmpp" / "gateway@example.org" / "g" / "outbox.db",
        tmp_path / "xdg" / "iotxmpp" / "g@example.com" / "outbox.db",
    ]
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path))  # which several devices may share
    assert default_files() == [
        tmp_path / "g@example.org" / "outbox.db",
        tmp_path / "gateway@example.org" / "g" / "outbox.db",
        tmp_path / "g@example.com" / "outbox.db",
    ]
    with pytest.raises(InvalidError, match="outbox"):
        outbox_settings(5)  # type: ignore[arg-type]  # as a program without types may


@pytest.mark.parametrize("lines", ['outbox = "a\\u0000"', '[outbox]\npath = "a\\u0000"'])
def test_a_path_that_no_file_can_have_is_told_with_key_and_fix(tmp_path: Path, lines: str) -> None:
    account = tmp_path / "hall.toml"
    account.write_text('jid = "hall@example.org"\npassword = "x"\n')
    account.chmod(0o600)
    config = tmp_path / "agent.toml"
    config.write_text(f'account = "hall.toml"\nprofile = "bme280"\n{lines}\n')
    (told,) = check_agent(config)
    assert f"agent file {config}: outbox" in told
    assert "path: " in told
    assert "a NUL character, which no path can have; give another path" in told
    with pytest.raises(InvalidError, match="NUL"):  # as an installer reads it
        read_device(config)


def kinds(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IFMT(each.lstat().st_mode) for each in folder.iterdir()}


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe"])
async def test_what_is_no_regular_file_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ff"
    if kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe") if "link" in kind else (tmp_path / "pipe").rename(path)
    before = kinds(tmp_path)
    with pytest.raises(StoreError, match="no regular file; nothing was changed; give another path"):
        async with opened(path):
            pass
    assert kinds(tmp_path) == before
    (finding,) = check_disk(path)
    assert (finding.level, finding.what) == ("fault", f"the outbox {path} is no regular file")
