"""The file in which a device keeps its twin: damaged, unreadable, full."""

import asyncio
from pathlib import Path

import pytest

from iotxmpp.agent.twinfile import Kept, TwinFile, twin_path
from iotxmpp.errors import StanzaError, StoreError
from tests.unit.agent_house import House, until
from tests.unit.twin_house import Lamp, running


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\x00" * 100,
        '{"form":1,"lineage":"a1","version":-1,"reports":0,"settings":{}}',
        '{"form":1,"lineage":"a1","version":1,"reports":true,"settings":{}}',
        '{"form":2,"lineage":"a1","version":1,"reports":1,"settings":{}}',
        '{"form":1,"lineage":"a1","version":1,"reports":1,"settings":{"a":NaN}}',
        "[" * 100_000,
    ],
)
async def test_a_damaged_file_is_set_aside_and_nothing_is_said_to_be_known(
    house: House, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "outbox.twin.json"
    path.write_text(text)
    async with running(house, Lamp(), path) as device:
        report = await device.reported(0)
        assert (report.lineage, report.settings) == ("", {"brightness": 50})
        assert "damaged" in device.problems.texts()[0]
        with pytest.raises(StanzaError, match="send all"):
            await device.desire({"brightness": 20}, version=8, base=7)
        await device.desire({"brightness": 20}, version=8)
        assert (await device.reported(8)).settings == {"brightness": 20}
        assert device.problems.texts() == ()
    assert (tmp_path / "outbox.twin.json.damaged").read_text() == text


async def test_a_file_of_other_bytes_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.twin.json"
    path.write_bytes(b"\xff\xfe\x00")
    kept, fault = TwinFile(path).load()
    assert kept == Kept()
    assert "damaged" in fault


async def test_what_cannot_be_kept_is_refused_and_not_applied(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp, path = Lamp(), tmp_path / "outbox.twin.json"
    async with running(house, lamp, path) as device:
        with monkeypatch.context() as patched:
            patched.setattr("iotxmpp.agent.durable.os.fsync", full)
            with pytest.raises(StanzaError, match=r"resource-constraint.*No space left"):
                await device.desire({"brightness": 20}, version=1)
        assert "No space left" in device.problems.texts()[0]
        assert lamp.calls == [("brightness", 50)]
        await device.desire({"brightness": 30}, version=1)
        assert (await device.reported(1)).settings == {"brightness": 30}
        assert device.problems.texts() == ()
    assert TwinFile(path).load()[0].settings == {"brightness": 30}


def full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


async def test_what_the_disk_did_not_take_is_saved_when_it_works_again(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outbox.twin.json"
    async with running(house, Lamp(), path) as device:
        await device.desire({"brightness": 20}, version=1)
        await device.reported(1)
    with monkeypatch.context() as patched:
        patched.setattr("iotxmpp.agent.durable.os.fsync", full)
        async with running(house, Lamp(), path) as device:  # its first report is not noted
            assert "No space left" in device.problems.texts()[0]
            await asyncio.sleep(0.1)
            assert "No space left" in device.problems.texts()[0]
            patched.undo()
            await until(lambda: device.problems.texts() == ())
            assert TwinFile(path).load()[0] == device.twin._kept


async def test_what_was_refused_for_a_full_disk_is_no_problem_when_it_works_again(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outbox.twin.json"
    async with running(house, Lamp(), path) as device:
        await device.reported(0)
        with monkeypatch.context() as patched:
            patched.setattr("iotxmpp.agent.durable.os.fsync", full)
            with pytest.raises(StanzaError, match="resource-constraint"):
                await device.desire({"brightness": 20}, version=1)
            assert "No space left" in device.problems.texts()[0]
        await until(lambda: device.problems.texts() == ())
        assert TwinFile(path).load()[0].version == 0


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox.twin.json").mkdir()
    kept, fault = TwinFile(tmp_path / "outbox.twin.json").load()
    assert kept == Kept()
    assert "the collector sends them again" in fault
    with pytest.raises(StoreError, match="make room"):
        TwinFile(tmp_path / "outbox.twin.json").save(Kept())


def test_the_file_stands_beside_the_outbox(tmp_path: Path) -> None:
    assert twin_path(tmp_path / "outbox.db") == tmp_path / "outbox.twin.json"
    assert twin_path(None) is None
