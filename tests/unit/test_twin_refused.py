"""A device's twin when things go wrong: other contents, refusals over a restart, slow functions, rivals."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.agent.settings import add_setting, make_setting
from iotxmpp.errors import StanzaError
from iotxmpp.twin import SEND_ALL, STILL, Desired, digest
from tests.unit.agent_house import CONTROLLER, House, until
from tests.unit.twin_house import Device, Lamp, running

PERSON = "ann@example.org"


async def desire(  # noqa: PLR0913  # each is a part of the request
    device: Device,
    changes: dict[str, Any],
    version: int,
    *,
    base: int = 0,
    all_: dict[str, Any] | None = None,
    lineage: str = "a1",
    by: str = "",
) -> None:
    desired = Desired(
        lineage=lineage,
        version=version,
        base=base,
        changes=changes,
        digest=digest(changes if all_ is None else all_),
        by=by,
    )
    await device.house.watcher.call(device.link.jid, desired.element())


def lines(device: Device) -> list[tuple[str, str, str, str]]:
    return [(each.id, each.by, each.result, each.text) for each in device.audit.entries]


async def test_a_version_with_other_contents_is_not_taken_for_the_same(house: House) -> None:
    async with running(house, Lamp()) as device:
        await desire(device, {"brightness": 70}, 2)
        await desire(device, {"brightness": 70.0}, 2)
        assert (await device.reported(2)).digest == digest({"brightness": 70})
        with pytest.raises(StanzaError) as refused:
            await desire(device, {"brightness": 20}, 2)
        assert (refused.value.condition, refused.value.detail) == ("item-not-found", SEND_ALL)
        with pytest.raises(StanzaError, match="are others here; send all"):
            await desire(device, {"name": "hall"}, 3, base=2, all_={"brightness": 20, "name": "hall"})
        await desire(device, {"brightness": 20, "name": "hall"}, 3)
        assert (await device.reported(3)).settings == {"brightness": 20, "name": "hall"}


async def test_what_held_before_a_refused_value_holds_after_a_restart(house: House, tmp_path: Path) -> None:
    path = tmp_path / "outbox.twin.json"
    async with running(house, Lamp(), path) as device:
        await device.desire({"brightness": 30, "broken": "x"}, version=1)
        await device.desire({"brightness": 101}, version=2, base=1)
        first = await device.reported(2)
    for _ in range(2):
        lamp = Lamp()
        async with running(house, lamp, path) as device:
            again = await device.reported(2)
            assert (again.settings, again.refused) == (first.settings, first.refused)
            assert lamp.calls == [("brightness", 30)]
            assert again.settings["brightness"] == 30
            assert "less than or equal to 100" in again.refused["brightness"]
    lamp = Lamp()
    async with running(house, lamp, path) as device:
        await device.desire({"brightness": None}, version=3, base=2)
        assert (await device.reported(3)).settings["brightness"] == 50


async def test_a_refused_value_without_one_before_leaves_the_default(house: House, tmp_path: Path) -> None:
    path = tmp_path / "outbox.twin.json"
    async with running(house, Lamp(), path) as device:
        await device.desire({"brightness": 101, "colour": "red"}, version=1)
        await device.reported(1)
    lamp, colours = Lamp(), list[str]()
    add_setting(lamp.settings, make_setting(lambda_of(colours), "colour"))
    async with running(house, lamp, path) as device:
        report = await device.reported(1)
        assert report.settings == {"brightness": 50, "colour": "red"}  # the program has that now
        assert report.refused.keys() == {"brightness"}
    assert (lamp.calls, colours) == ([("brightness", 50)], ["red"])


def lambda_of(colours: list[str]) -> Any:  # noqa: ANN401  # a setting's function
    def colour(which: str) -> None:
        colours.append(which)

    return colour


async def test_a_kill_while_applying_ends_its_line_after_the_restart(house: House, tmp_path: Path) -> None:
    path, copy = tmp_path / "outbox.twin.json", tmp_path / "killed.twin.json"
    lamp, entered, free = Lamp(), asyncio.Event(), asyncio.Event()

    async def part(which: str) -> None:
        entered.set()
        await free.wait()

    add_setting(lamp.settings, make_setting(part, "part"))
    async with running(house, lamp, path) as device:
        await desire(device, {"brightness": 30}, 1)
        await device.reported(1)
        changes = {"brightness": 101, "part": "x"}
        await desire(device, changes, 2, base=1, all_=changes, by=PERSON)
        await asyncio.wait_for(entered.wait(), 2)
        copy.write_bytes(path.read_bytes())  # what a kill leaves
        assert lines(device)[-1][:3] == ("a1.2", PERSON, "started")
        free.set()
        await device.reported(2)
    lamp = Lamp()
    async with running(house, lamp, copy) as device:
        report = await device.reported(2)
        assert report.settings["brightness"] == 30
        (line,) = lines(device)
        assert line[:3] == ("a1.2", PERSON, "failed")
        assert "brightness: percent" in line[3]
    async with running(house, Lamp(), copy) as device:
        await device.reported(2)
        assert lines(device) == []


async def test_a_line_fails_only_for_what_its_version_changed(house: House) -> None:
    async with running(house, Lamp()) as device:
        await desire(device, {"colour": 3}, 1)
        await device.reported(1)
        await desire(device, {"brightness": 9}, 2, base=1, all_={"colour": 3, "brightness": 9}, by=PERSON)
        assert (await device.reported(2)).refused.keys() == {"colour"}
        assert [each[:3] for each in lines(device)] == [
            ("a1.1", CONTROLLER, "started"),
            ("a1.1", CONTROLLER, "failed"),
            ("a1.2", PERSON, "started"),
            ("a1.2", PERSON, "done"),
        ]


async def test_a_version_that_is_overtaken_is_written_down(house: House) -> None:
    lamp, free = Lamp(), asyncio.Event()

    async def part(which: str) -> None:
        await free.wait()

    add_setting(lamp.settings, make_setting(part, "part"))
    async with running(house, lamp) as device:
        await device.desire({"part": "x"}, version=1)
        await asyncio.sleep(0.01)
        await device.desire({"colour": 1}, version=2, base=1)
        await device.desire({"brightness": 2}, version=3, base=2)
        free.set()
        await device.reported(3)
        ends = {each[0]: each[2] for each in lines(device)}
        assert ends == {"a1.1": "done", "a1.2": "cancelled", "a1.3": "failed"}


async def test_the_last_value_wins_over_a_slow_one(house: House) -> None:
    lamp, calls, free = Lamp(), list[int](), threading.Event()

    def level(value: int) -> None:
        if value == 5:
            free.wait(5)
        calls.append(value)

    add_setting(lamp.settings, make_setting(level, "level"))
    async with running(house, lamp) as device:
        await device.desire({"level": 5}, version=1)
        assert (await device.reported(1)).refused["level"].startswith(STILL)
        await device.desire({"level": 6}, version=2, base=1)
        assert (await device.reported(2)).refused["level"].startswith(STILL)
        assert calls == []
        free.set()
        await until(lambda: not device.reports[-1].refused)
        assert calls == [5, 6]
        assert device.reports[-1].settings["level"] == 6
        assert device.reports[-1].version > device.reports[-2].version
        assert [each[2] for each in lines(device)] == ["started", "failed", "started", "failed", "done"]


@pytest.mark.parametrize("fails", [False, True])
async def test_the_truth_of_a_slow_value_is_told_when_it_is_known(house: House, *, fails: bool) -> None:
    lamp, free, count = Lamp(), threading.Event(), list[int]()

    def level(value: int) -> None:
        count.append(value)
        free.wait(5)
        if fails:
            raise ValueError("stuck")

    add_setting(lamp.settings, make_setting(level, "level"))
    async with running(house, lamp) as device:
        await device.desire({"level": 5}, version=1)
        assert (await device.reported(1)).refused["level"].startswith(STILL)
        free.set()
        await until(lambda: not device.reports[-1].refused.get("level", "").startswith(STILL))
        last = device.reports[-1]
        assert last.refused == ({"level": "ValueError: stuck"} if fails else {})
        assert ("level" in last.settings) is not fails
        assert count == [5]


async def test_two_lineages_that_replace_each_other_are_a_problem(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotxmpp.agent.twin.RIVALRY", 0.2)
    async with running(house, Lamp()) as device:
        for lineage in ("a1", "b2"):
            await device.desire({"brightness": 1}, version=1, lineage=lineage)
        assert device.problems.texts() == ()
        await device.desire({"brightness": 1}, version=1, lineage="a1")
        assert "two controllers desire settings of this device" in device.problems.texts()[0]
        await until(lambda: device.problems.texts() == ())
