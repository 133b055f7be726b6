"""A device's side of the twin: kept, applied, reported."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from iotxmpp.about import Channel
from iotxmpp.agent.presence import Problems
from iotxmpp.agent.sensors import Rhythm, Sensor
from iotxmpp.agent.settings import Setting, add_setting, interval_settings, make_setting, setting_abouts
from iotxmpp.agent.twin import DeviceTwin
from iotxmpp.agent.twinfile import Kept, TwinFile, twin_path
from iotxmpp.errors import InvalidError, StanzaError, StoreError
from iotxmpp.link import Item, Request
from iotxmpp.memory import MemoryLink
from iotxmpp.payloads import json_text
from iotxmpp.serving.audit import MemoryAudit
from iotxmpp.serving.records import Records
from iotxmpp.twin import DESIRED_TAG, REPORTED_ITEM, SEND_ALL, Desired, Reported, parse_reported
from tests.unit.agent_house import (
    CONTROLLER,
    DEVICE,
    NODES,
    STRANGER,
    House,
    account,
    fault,
    open_house,
    quick,
    until,
)
from tests.unit.test_twin import desired_element


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened


class Lamp:
    """What settings change."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.settings: dict[str, Setting] = {}
        for name, function in (
            ("brightness", self.brightness),
            ("name", self.name),
            ("slow", self.slow),
            ("broken", self.broken),
        ):
            add_setting(self.settings, make_setting(function, name))

    def brightness(self, percent: Annotated[int, Field(ge=0, le=100, title="Light")] = 50) -> None:
        """How bright it shines."""
        self.calls.append(("brightness", percent))

    async def name(self, text: str) -> None:
        self.calls.append(("name", text))

    async def slow(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def broken(self, part: str) -> None:
        raise RuntimeError(f"no {part}")


class Device:
    """A device with nothing but a twin."""

    def __init__(self, house: House, link: MemoryLink, lamp: Lamp, path: Path | None) -> None:
        self.house = house
        self.link = link
        self.problems = Problems()
        self.audit = MemoryAudit()
        self.ready = asyncio.Event()
        self.twin = DeviceTwin(
            link,
            device=DEVICE,
            node=NODES.state,
            settings=lamp.settings,
            file=TwinFile(path),
            collector=CONTROLLER,
            problems=self.problems,
            records=Records(device=DEVICE, audit=self.audit, problems=self.problems),
            ready=self.ready,
            backoff=quick(),
            patience=0.05,
        )

    async def desire(
        self, changes: dict[str, Any], *, version: int, base: int = 0, lineage: str = "a1"
    ) -> None:
        element = Desired(lineage=lineage, version=version, base=base, changes=changes).element()
        await self.house.watcher.call(self.link.jid, element)

    @property
    def reports(self) -> list[Reported]:
        found = [item for item in self.house.items if item.node == NODES.state and item.payload is not None]
        assert all(item.id == REPORTED_ITEM for item in found)
        return [parse_reported(json_text(item.payload)) for item in found if item.payload is not None]

    async def reported(self, version: int) -> Reported:
        await until(lambda: bool(self.reports) and self.reports[-1].desired == version)
        return self.reports[-1]


@asynccontextmanager
async def running(house: House, lamp: Lamp, path: Path | None = None) -> AsyncIterator[Device]:
    await house.watcher.subscribe(NODES.state, house.take_item)
    async with house.server.link(account("greenhouse")) as link:
        device = Device(house, link, lamp, path)
        await device.twin.open()
        cancels = [link.serve(DESIRED_TAG, device.twin.answer), link.on_state(device.twin.state_changed)]
        task = asyncio.create_task(device.twin.run())
        device.ready.set()
        try:
            yield device
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for cancel in cancels:
                cancel()
    house.items.clear()


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

        def full(_handle: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("iotxmpp.agent.twinfile.os.fsync", full)
            with pytest.raises(StanzaError, match=r"resource-constraint.*No space left"):
                await device.desire({"brightness": 20}, version=1)
        assert "No space left" in device.problems.texts()[0]
        assert lamp.calls == [("brightness", 50)]
        await device.desire({"brightness": 30}, version=1)
        assert (await device.reported(1)).settings == {"brightness": 30}
        assert device.problems.texts() == ()
    assert TwinFile(path).load()[0].settings == {"brightness": 30}


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


# Declarations.


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


async def test_an_enum_arrives_as_its_member(house: House) -> None:
    lamp, got = Lamp(), list[Colour]()

    def colour(which: Colour = Colour.RED) -> None:
        got.append(which)

    add_setting(lamp.settings, make_setting(colour, "colour"))
    async with running(house, lamp) as device:
        await device.desire({"colour": "blue"}, version=1)
        assert (await device.reported(1)).settings["colour"] == "blue"
    assert got == [Colour.RED, Colour.BLUE]
    about = lamp.settings["colour"].about()
    assert "$defs" in about.value


def test_a_setting_is_described_with_its_rules() -> None:
    about = Lamp().settings["brightness"].about()
    assert about.description == "How bright it shines."
    assert {key: about.value[key] for key in ("type", "minimum", "maximum", "default")} == {
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
        "default": 50,
    }


def no_argument() -> None: ...


def two_arguments(one: int, two: int) -> None: ...


def bare(one) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # what is refused


@pytest.mark.parametrize(
    ("function", "name", "says"),
    [
        (no_argument, "x", "takes 0 arguments; give it one"),
        (two_arguments, "x", "takes 2 arguments"),
        (bare, "x", "annotate one"),
        (Lamp().name, "", "no name of a setting"),
        (Lamp().name, "a\nb", "no name of a setting"),
    ],
)
def test_what_is_no_setting_is_told_when_it_is_declared(
    function: Callable[..., object], name: str, says: str
) -> None:
    assert says in fault(lambda: make_setting(function, name))


def test_names_are_given_once_and_intervals_are_kept_free() -> None:
    lamp = Lamp()
    assert "declared twice" in fault(lambda: add_setting(lamp.settings, lamp.settings["name"]))
    with pytest.raises(InvalidError, match="intervals of sensors"):
        add_setting(lamp.settings, make_setting(lamp.name, "every/thing"))


def sensor(label: str, *channels: str, every: float = 30.0) -> Sensor:
    kinds = {name: Channel(type="float") for name in channels}
    return Sensor(
        label=label, function=lambda: 1.0, channels=kinds, rhythms=dict.fromkeys(kinds, Rhythm(every=every))
    )


async def test_intervals_of_sensors_are_settings(house: House) -> None:
    changes: list[tuple[str, float | None]] = []
    sensors = [sensor("climate", "temperature"), sensor("climate", "humidity"), sensor("<lambda>", "light")]
    every = interval_settings(sensors, lambda which, seconds: changes.append((which.label, seconds)))
    assert list(every) == ["every/climate", "every/humidity", "every/light"]
    lamp = Lamp()
    lamp.settings = every
    async with running(house, lamp) as device:
        await device.desire({"every/climate": 5, "every/humidity": 0.05, "every/light": 86401}, version=1)
        report = await device.reported(1)
        assert report.settings == {"every/climate": 5, "every/humidity": 30.0, "every/light": 30.0}
        assert report.refused == {
            "every/humidity": "seconds: Input should be greater than or equal to 0.1",
            "every/light": "seconds: Input should be less than or equal to 86400",
        }
        await device.desire({"every/climate": None}, version=2, base=1)
        await device.reported(2)
    assert changes == [
        ("climate", None),
        ("climate", None),
        ("<lambda>", None),
        ("climate", 5),
        ("climate", None),
    ]
    abouts = setting_abouts(Lamp().settings, sensors)
    assert abouts["every/climate"].value["minimum"] == 0.1
    assert "brightness" in abouts
