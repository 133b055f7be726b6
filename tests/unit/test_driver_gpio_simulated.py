"""The gpio driver's simulation: the real devices over pins that are made up."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from gpiozero import Device  # type: ignore[import-untyped]  # it has no types
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # likewise

import device_profiles
from iotxmpp.agent.drivers import create_driver
from tests.unit.agent_house import until
from tests.unit.pins_house import HEAD, RELAYS, gpio, listening, mock_pins


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    with mock_pins(monkeypatch) as pins:
        yield pins


EVERYTHING = (
    HEAD
    + RELAYS
    + """
[readings.button]
type = "bool"
source = { device = "Button", pin = 17 }
simulate = { wave = "steady", value = true }
[readings.line]
type = "bool"
source = { device = "LineSensor", pin = 27 }
simulate = { wave = "steady", value = true }
[readings.rain]
type = "int"
counter = true
source = { device = "DigitalInputDevice", pin = 22 }
simulate = { wave = "counter", mean = 36000 }
[readings.distance]
type = "float"
unit = "cm"
range = [2, 400]
source = { device = "DistanceSensor", echo = 24, trigger = 23, scale = 100 }
simulate = { wave = "steady", mean = 120, noise = 0 }
[readings.moisture]
type = "float"
unit = "/100"
range = [0, 100]
count = 2
source = { device = "MCP3008", channel = [0, 5], scale = -100, offset = 100 }
simulate = { wave = "steady", mean = 30, noise = 0 }
[readings.heat]
type = "float"
unit = "Cel"
source = { device = "CPUTemperature" }
simulate = { wave = "steady", mean = 48.5, noise = 0 }
[readings.light]
type = "float"
source = { device = "LightSensor", pin = 25 }
simulate = { wave = "steady", mean = 0.6, noise = 0 }
"""
)


async def test_the_simulated_twin_runs_the_real_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)  # a PC has none, and a simulation needs none
    driver = gpio(EVERYTHING.replace('unit = "cm"\n', ""), simulated=True)
    async with listening(driver) as told:
        await until(lambda: bool(told.values("rain")) and told.values("rain")[-1] != 0, 10)
        async with asyncio.timeout(10):
            values: Mapping[str, Any] = await driver.read()
            while isinstance(values["distance"], OSError):
                values = await driver.read()
        assert values["button"] is True
        assert values["line"] is True
        assert values["distance"] == pytest.approx(120, abs=1)
        assert values["moisture/1"] == pytest.approx(30, abs=0.2)
        assert values["moisture/2"] == pytest.approx(30, abs=0.2)
        assert values["heat"] == 48.5
        assert isinstance(values["light"], float)
        assert await driver.command("switch", {"channel": 1, "on": True}) == {"relay/1": True}
        assert Device.pin_factory is None


SHIPPED = [name for name in device_profiles.names() if device_profiles.load(name).driver.kind == "gpio"]


@pytest.mark.parametrize("name", SHIPPED)
async def test_every_shipped_profile_can_be_simulated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    profile = device_profiles.load(name)
    async with create_driver(profile, {"simulated": True}) as driver:
        values = await driver.read()
    assert values.keys() == profile.channels().keys()


async def test_a_distance_sensor_gives_its_first_value_at_once() -> None:
    """gpiozero's own thread listens since the opening, and has hardly begun: that is no missing echo."""
    profile = device_profiles.load("ultrasonic-distance")
    for _ in range(3):
        async with create_driver(profile, {"simulated": True}) as driver:
            value = (await driver.read())["distance"]
        assert isinstance(value, float)
        assert 0 < value <= 4
