"""Profiles that stand on others."""

from pathlib import Path

import pytest

import device_profiles
from iotxmpp.errors import ConfigError

PARENT = """
schema = 1
id = "parent"
version = "2.0.0"
title = "Parent"
driver = { kind = "gpio", pins = [1, 2], active_high = true }
[readings.relay]
type = "bool"
count = 2
every = 5
source = { device = "LED", pin = [1, 2] }
simulate = { wave = "steady", value = false }
[readings.level]
type = "float"
unit = "V"
range = [0, 5]
[commands.switch]
effect = { set = "relay/{channel}", to = "on" }
args.channel = { type = "int", range = [1, 2] }
args.on = { type = "bool" }
"""
CHILD = 'schema = 1\nid = "child"\nversion = "1.0.0"\nextends = "parent.toml"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parent.toml").write_text(PARENT)
    return tmp_path


def child(folder: Path, text: str) -> Path:
    file = folder / "child.toml"
    file.write_text(CHILD + text)
    return file


def fault(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        device_profiles.load_file(file)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_child_is_its_parent_with_its_own_tables_over_it(folder: Path) -> None:
    text = (
        "[readings.relay]\nevery = 9\nsource.pin = [7, 8]\n"
        '[readings.level]\nrange = [0, 3]\n[readings.new]\ntype = "int"\n'
    )
    loaded = device_profiles.load_file(child(folder, "driver.active_high = false\n" + text))
    assert (loaded.id, loaded.version, loaded.title) == ("child", "1.0.0", "Parent")
    assert loaded.driver.settings == {"pins": [1, 2], "active_high": False}
    assert list(loaded.readings) == ["relay", "level", "new"]
    relay = loaded.readings["relay"]
    assert (relay.type, relay.count, relay.every, relay.simulate.wave) == ("bool", 2, 9, "steady")
    assert loaded.sources()["relay/2"] == {"device": "LED", "pin": 8}
    assert loaded.readings["level"].range == (0.0, 3.0)
    assert loaded.readings["level"].unit == "V"
    assert loaded.commands.keys() == {"switch"}


def test_what_a_child_is_without_is_gone_also_when_it_defines_that_anew(folder: Path) -> None:
    loaded = device_profiles.load_file(child(folder, 'without = ["level", "switch"]\n'))
    assert (list(loaded.readings), list(loaded.commands)) == (["relay"], [])
    text = 'without = ["level"]\n[readings.level]\ntype = "str"\n'
    anew = device_profiles.load_file(child(folder, text))
    assert anew.readings["level"].unit is None


def test_another_driver_takes_over_neither_settings_nor_sources(folder: Path) -> None:
    loaded = device_profiles.load_file(child(folder, 'driver.kind = "serial"\ndriver.baud = 9600\n'))
    assert (loaded.driver.kind, loaded.driver.settings) == ("serial", {"baud": 9600})
    assert set(map(str, loaded.sources().values())) == {"{}"}
    assert loaded.commands["switch"].effect is not None
    same = device_profiles.load_file(child(folder, 'driver.kind = "gpio"\n'))
    assert same.driver.settings["pins"] == [1, 2]


def test_a_shipped_profile_can_be_stood_on(folder: Path) -> None:
    text = CHILD.replace("parent.toml", "bme280") + 'without = ["pressure"]\n'
    (folder / "mine.toml").write_text(text)
    assert list(device_profiles.load_file(folder / "mine.toml").channels()) == ["temperature", "humidity"]
    three = device_profiles.load("sdm630")
    assert three.driver.settings == {"baud": 9600, "unit": 1}
    assert three.sources()["voltage/3"]["register"] == 4
    assert three.channels()["power"].range == (-99360.0, 99360.0)
    assert three.channels()["power"].unit == "W"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("without = ['levl']", "child.toml: without: nothing is called 'levl' there: did you mean level?"),
        ("without = 'level'", 'child.toml: without: give a list of names, such as ["humidity"]'),
        ("[readings.level]\nunit = 'C'", "child.toml: readings.level.unit: unit C: did you mean Cel?"),
        ("[readings.new]\nevery = 5", "child.toml: readings.new.type: missing"),
        ("readings = 5", "child.toml: readings: Input should be a table"),
        ("driver = 5", "child.toml: driver: "),
    ],
)
def test_a_wrong_child_is_named(folder: Path, text: str, words: str) -> None:
    assert words in fault(child(folder, text))


@pytest.mark.parametrize("own", ["schema = 1\n", 'id = "child"\n', 'version = "1.0.0"\n'])
def test_a_child_says_itself_what_it_is(folder: Path, own: str) -> None:
    file = folder / "child.toml"
    file.write_text(CHILD.replace(own, ""))
    assert f"child.toml: {own.partition(' ')[0]}: missing" in fault(file)


@pytest.mark.parametrize("name", ["5", "''", "['a']"])
def test_a_parent_is_a_name(folder: Path, name: str) -> None:
    file = folder / "child.toml"
    file.write_text(CHILD.replace('"parent.toml"', name))
    assert "extends: give a profile's name, or a .toml file beside this one" in fault(file)


def test_a_missing_or_wrong_parent_is_named(folder: Path) -> None:
    file = child(folder, "")
    (folder / "parent.toml").unlink()
    assert "parent.toml: cannot be read" in fault(file)
    (folder / "parent.toml").write_text(PARENT + "colour = 1")
    assert "parent.toml: unknown key colour" in fault(file)
    (folder / "parent.toml").write_text("schema = ")
    assert "parent.toml: not TOML" in fault(file)
    file.write_text(CHILD.replace("parent.toml", "bme208"))
    assert "did you mean bme280?" in fault(file)


def test_a_cycle_is_told_with_its_chain(folder: Path) -> None:
    for name, extends in (("a", "b"), ("b", "./c"), ("c", "a")):
        (folder / f"{name}.toml").write_text(CHILD.replace("parent.toml", f"{extends}.toml"))
    text = fault(folder / "a.toml")
    assert "a.toml: extends: a cycle: " in text
    chain = text.partition("a cycle: ")[2].partition(";")[0].split(" -> ")
    assert [Path(each).name for each in chain] == ["a.toml", "b.toml", "c.toml", "a.toml"]
    (folder / "self.toml").write_text(CHILD.replace("parent.toml", "self.toml"))
    assert "a cycle" in fault(folder / "self.toml")
    (folder / "link.toml").symlink_to(folder / "a.toml")
    assert "a cycle" in fault(folder / "link.toml")


def test_eight_levels_are_enough(folder: Path) -> None:
    for level in range(1, 9):
        below = f"level{level - 1}.toml" if level > 1 else "parent.toml"
        (folder / f"level{level}.toml").write_text(CHILD.replace("parent.toml", below))
    assert device_profiles.load_file(folder / "level7.toml").readings.keys() == {"relay", "level"}
    assert "extends: more than 8 levels: " in fault(folder / "level8.toml")


def test_an_endless_file_is_not_read() -> None:
    assert "/dev/zero: it is no regular file" in fault(Path("/dev/zero"))
