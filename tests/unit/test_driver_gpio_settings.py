"""The gpio driver's pins and settings, and what is wrong in them."""

from collections.abc import Iterator, Mapping

import pytest
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # it has no types

from iotxmpp.errors import ConfigError
from tests.unit.pins_house import HEAD, OUT, RELAYS, gpio, mock_pins, reading


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    with mock_pins(monkeypatch) as pins:
        yield pins


async def test_pins_of_the_device_go_before_those_of_the_profile(factory: MockFactory) -> None:
    async with gpio(HEAD + RELAYS, pins=[20, 21], active_high=True) as driver:
        await driver.command("switch", {"channel": 2, "on": True})
        assert factory.pin(21).state == 0  # the source's own active_high goes first
    async with gpio(HEAD + RELAYS, pins={"relay/1": 22}):
        assert factory.pin(22).function == "output"
    async with gpio(HEAD + RELAYS, pins={"relay": [23, 24]}):
        assert factory.pin(24).function == "output"
    text = f'{HEAD}[readings.x]\ntype="bool"\n'
    async with gpio(text, device="LED", pins=[12], active_high=False):
        assert factory.pin(12).state == 1
    far = reading('{device="DistanceSensor"}', "float")
    assert gpio(far, pins={"x": {"echo": 24, "trigger": 23}})._bindings[0].pins == {"echo": 24, "trigger": 23}


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        (reading('{device="LED"}'), {}, r"readings\.x\.source: a LED needs pin; give it here, or in"),
        (reading('{device="Led", pin=5}'), {}, r"readings\.x\.source\.device: Input should be"),
        (reading('{device="LED", pn=5}'), {}, r"unknown key pn in readings\.x\.source: did you mean pin"),
        (reading('{device="LED", pin=5, bounce=1}'), {}, "a LED has no bounce; it has active_high, initial"),
        (
            reading('{device="LED", pin=99}'),
            {},
            r"x\.source\.pin: Input should be from 0 to 53, not",
        ),
        (reading('{device="LED", pin="5"}'), {"pins": {"y": 5}}, r"pins\.y: the profile has no such channel"),
        (reading(OUT), {"pins": [1, 2]}, "pins has 2 entries, but 1 channels have a pin: x"),
        (HEAD + RELAYS, {"pins": {"relay": 5}}, r"pins\.relay: give a list of 2 pins"),
        (HEAD + RELAYS, {"pins": [5, 5]}, "pin 5 is used twice, for relay/1 and relay/2"),
        (reading(OUT, "float"), {}, r"readings\.x\.type: a LED is bool, not float"),
        (reading('{device="MotionSensor", pin=5}', "int"), {}, "a MotionSensor is bool, not int"),
        (reading('{device="Servo", pin=5}'), {}, "a Servo is float, not bool"),
        (
            reading('{device="MCP3008", channel=9}', "float"),
            {},
            r"source\.channel: Input should be from 0 to 7, not",
        ),
        (reading('{device="MCP3008", channel=0, scale=0}', "float"), {}, "scale 0 makes all values alike"),
        (reading('{device="DistanceSensor", echo=5}', "float"), {}, "a DistanceSensor needs trigger"),
        (
            reading('{device="DistanceSensor", echo=5, trigger=5}', "float"),
            {},
            "pin 5 is used twice, for x's echo and x's trigger",
        ),
        (
            reading('{device="MCP3008", channel=0}', "float")
            + f'[readings.y]\ntype="bool"\nsource={OUT.replace("5", "11")}\n',
            {},
            "pin 11 is used twice, for the MCP3008's SPI clock and y",
        ),
        (
            reading('{device="Button", pin=5, pull_up="floating"}'),
            {},
            'pull_up = "floating" needs active_high',
        ),
        (reading('{device="Button", pin=5, hold=1, active_high=true}'), {}, "hold counts from the level"),
        (reading(OUT) + "[commands.go]\n", {}, r"commands\.go: the gpio driver needs an effect"),
        (
            reading('{device="Button", pin=5}') + '[commands.go]\neffect={set="x"}\n',
            {},
            r"commands\.go\.effect\.set: x is a Button, which cannot be set",
        ),
        (reading(OUT), {"pin": 5}, "driver gpio: unknown key pin in driver: did you mean pins"),
    ],
)
def test_a_wrong_profile_or_setting_is_told_before_a_pin_moves(
    text: str, settings: Mapping[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        gpio(text, **settings)
