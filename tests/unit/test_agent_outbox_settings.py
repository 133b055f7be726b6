"""What a program may give for an outbox."""

from pathlib import Path

import pytest

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.outbox.settings import OutboxSettings, outbox_settings
from iotxmpp.errors import InvalidError


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
