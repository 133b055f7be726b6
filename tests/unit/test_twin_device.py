"""A device's side of the twin: kept, applied, reported."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.agent.settings import add_setting, make_setting
from iotxmpp.errors import StanzaError
from iotxmpp.link import Item, Request
from iotxmpp.payloads import json_text
from iotxmpp.twin import DESIRED_TAG, SEND_ALL, Desired, parse_reported
from tests.unit.agent_house import NODES, STRANGER, House, account, until
from tests.unit.test_twin import desired_element
from tests.unit.twin_house import Device, Lamp, running


async def test_desired_settings_are_applied_and_reported(house: House, tmp_path: Path) -> None:
    lamp = Lamp()
    async with running(house, lamp, tmp_path / "outbox.twin.json") as device:
        first = await device.reported(0)
        assert (first.settings, first.lineage) == ({"brightness": 50}, "")
        await device.desire({"brightness": 20, "name": "hall"}, version=1)
        second = await device.reported(1)
        assert second.settings == {"brightness": 20, "name": "hall"}
        assert (second.lineage, second.refused, second.version > first.version) == ("a1", {}, True)
        await device.desire({"name": "attic"}, version=2, base=1)
        assert (await device.reported(2)).settings == {"brightness": 20, "name": "attic"}
    assert lamp.calls == [("brightness", 50), ("brightness", 20), ("name", "hall"), ("name", "attic")]


async def test_a_setting_that_is_taken_away_goes_back_to_its_default(house: House) -> None:
    lamp = Lamp()
    async with running(house, lamp) as device:
        await device.desire({"brightness": 20, "name": "hall"}, version=1)
        await device.desire({"brightness": None, "name": None}, version=2, base=1)
        assert (await device.reported(2)).settings == {"brightness": 50, "name": "hall"}
    assert lamp.calls[-1] == ("brightness", 50)


async def test_desired_settings_are_on_disk_before_the_answer_and_applied_at_the_next_start(
    house: House, tmp_path: Path
) -> None:
    path = tmp_path / "state" / "outbox.twin.json"
    async with running(house, Lamp(), path) as device:
        await device.desire({"brightness": 20}, version=7)
        assert json.loads(path.read_text())["settings"] == {"brightness": 20}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = (await device.reported(7)).version
    lamp = Lamp()
    async with running(house, lamp, path) as device:
        assert lamp.calls == [("brightness", 20)]
        report = await device.reported(7)
        assert (report.settings, report.lineage, report.version > before) == ({"brightness": 20}, "a1", True)
        await device.desire({"name": "hall"}, version=8, base=7)
        assert (await device.reported(8)).settings == {"brightness": 20, "name": "hall"}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_new_session_reports_again(house: House) -> None:
    async with running(house, Lamp()) as device:
        await device.reported(0)
        device.ready.clear()
        house.server.drop(account("greenhouse").jid, back_after=None)
        await until(lambda: not device.link.state.up)
        house.server.restore(account("greenhouse").jid)
        await until(lambda: device.link.state.up)
        device.ready.set()
        await until(lambda: len(device.reports) == 2)
        assert device.reports[0] == device.reports[1]


async def test_what_is_refused_says_why_and_the_rest_holds(house: House) -> None:
    async with running(house, Lamp()) as device:
        changes = {
            "brightness": 101,
            "broken": "bulb",
            "colour": "red",
            "name": 5,
            "slow": 60,
        }
        await device.desire(changes, version=1)
        report = await device.reported(1)
        assert report.settings == {"brightness": 50}
        assert report.refused == {
            "brightness": "percent: Input should be less than or equal to 100",
            "broken": "RuntimeError: no bulb",
            "colour": "no such setting; there is brightness, broken, name, slow",
            "name": "text: Input should be a valid string",
            "slow": "has not returned after 0.05 s",
        }
        await device.desire({**dict.fromkeys(changes), "brightness": 100, "slow": 0}, version=2, base=1)
        report = await device.reported(2)
        assert (report.settings, report.refused) == ({"brightness": 100, "slow": 0}, {})


async def test_a_refused_setting_is_tried_again_with_the_next_version(house: House) -> None:
    lamp, tries = Lamp(), 0

    def moody(level: int) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("not now")

    add_setting(lamp.settings, make_setting(moody, "moody"))
    async with running(house, lamp) as device:
        await device.desire({"moody": 3}, version=1)
        assert (await device.reported(1)).refused == {"moody": "ValueError: not now"}
        await device.desire({"name": "hall"}, version=2, base=1)
        assert (await device.reported(2)).settings == {"brightness": 50, "moody": 3, "name": "hall"}


async def test_a_version_that_is_not_newer_is_answered_and_ignored(house: House) -> None:
    lamp = Lamp()
    async with running(house, lamp) as device:
        await device.desire({"brightness": 20}, version=5)
        for version, base in ((5, 0), (4, 0), (5, 4), (3, 2)):
            await device.desire({"brightness": 30}, version=version, base=base)
        await device.desire({"name": "hall"}, version=6, base=5)
        assert (await device.reported(6)).settings == {"brightness": 20, "name": "hall"}


async def test_changes_to_another_version_are_refused_and_everything_is_asked_for(house: House) -> None:
    async with running(house, Lamp()) as device:
        await device.desire({"brightness": 20}, version=5)
        for version, base, lineage in ((8, 7, "a1"), (8, 4, "a1"), (9, 5, "b2")):
            with pytest.raises(StanzaError) as refused:
                await device.desire({"brightness": 30}, version=version, base=base, lineage=lineage)
            assert (refused.value.condition, refused.value.detail) == ("item-not-found", SEND_ALL)
            assert "send all" in refused.value.text
        assert (await device.reported(5)).settings == {"brightness": 20}


async def test_a_new_lineage_is_taken_whole(house: House) -> None:
    async with running(house, Lamp()) as device:
        await device.desire({"brightness": 20, "name": "hall"}, version=5)
        await device.desire({"name": "attic"}, version=1, lineage="b2")
        report = await device.reported(1)
        assert (report.lineage, report.settings) == ("b2", {"brightness": 50, "name": "attic"})


@pytest.mark.parametrize("sender", [STRANGER, "example.org", "house@example.com/desk", "pubsub.example.org"])
async def test_nobody_but_the_collector_desires(house: House, sender: str) -> None:
    lamp = Lamp()
    async with running(house, lamp) as device:
        payload = Desired(lineage="a1", version=1, changes={"brightness": 1}).element()
        with pytest.raises(StanzaError) as refused:
            await device.twin.answer(Request(sender=sender, kind="set", payload=payload))
        assert refused.value.condition == "forbidden"
        assert ("brightness", 1) not in lamp.calls
        assert device.twin.reported.desired == 0


@pytest.mark.parametrize(
    "payload",
    [
        desired_element("{}", version=str(2**63)),
        desired_element('{"a":"' + "x" * 2**17 + '"}', base="0"),
        desired_element('{"a":' + "[" * 500 + "]" * 500 + "}", base="0"),
        desired_element("[]", base="0"),
    ],
)
async def test_bad_requests_are_answered_and_change_nothing(house: House, payload: Any) -> None:  # noqa: ANN401  # an element
    async with running(house, Lamp()) as device:
        with pytest.raises(StanzaError, match="bad-request"):
            await house.watcher.call(device.link.jid, payload)
        with pytest.raises(StanzaError, match="type set"):
            await house.watcher.call(device.link.jid, payload, kind="get")
        await device.reported(0)


async def test_changes_that_become_too_long_together_are_refused(house: House) -> None:
    async with running(house, Lamp()) as device:
        await device.desire({"a": "x" * 40_000}, version=1)
        with pytest.raises(StanzaError, match="not-acceptable"):
            await device.desire({"b": "x" * 40_000}, version=2, base=1)
        assert (await device.reported(1)).refused.keys() == {"a"}


async def test_a_missing_node_is_a_problem_only_where_the_twin_is_used(house: House) -> None:
    await house.server.delete_node(NODES.state)
    async with house.server.link(account("greenhouse")) as link:
        device = Device(house, link, Lamp(), None)
        await device.twin.open()
        cancel = link.serve(DESIRED_TAG, device.twin.answer)
        task = asyncio.create_task(device.twin.run())
        device.ready.set()
        await asyncio.sleep(0.05)
        assert device.problems.texts() == ()
        await device.desire({"brightness": 20}, version=1)
        await until(lambda: bool(device.problems.texts()))
        assert "iotxmpp device add greenhouse" in device.problems.texts()[0]
        await house.create_nodes()
        await until(lambda: not device.problems.texts())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        cancel()
    items: list[Item] = await house.watcher.items(NODES.state)
    assert items[0].payload is not None
    assert parse_reported(json_text(items[0].payload)).settings == {"brightness": 20}
