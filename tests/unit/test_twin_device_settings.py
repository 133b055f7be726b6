"""What a device declares as its settings."""

from collections.abc import Callable
from enum import Enum

import pytest

from iotxmpp.about import Channel
from iotxmpp.agent.sensors import Rhythm, Sensor
from iotxmpp.agent.settings import add_setting, interval_settings, make_setting, setting_abouts
from iotxmpp.errors import InvalidError
from tests.unit.agent_house import House, fault
from tests.unit.twin_house import Lamp, running


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
