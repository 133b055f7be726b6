"""The gpio driver over gpiozero's mock pins, which other threads drive."""

import asyncio
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gpiozero import Device  # type: ignore[import-untyped]  # it has no types
from gpiozero.pins.mock import MockFactory, MockPWMPin  # type: ignore[import-untyped]  # likewise

import device_profiles
from iotxmpp.agent.drivers import Sample, create_driver
from iotxmpp.agent.drivers.gpio import GpioDriver
from iotxmpp.agent.drivers.gpio import driver as driver_module
from iotxmpp.agent.drivers.gpio.board import Board
from iotxmpp.agent.drivers.gpio.library import advised
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import ArgumentsError, CommandFailedError, ConfigError, UnknownCommandError
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.agent_house import open_house, until

HEAD = 'schema=1\nid="pins"\nversion="1.0.0"\ndriver={kind="gpio"}\n'
RELAYS = """
[readings.relay]
type = "bool"
count = 2
source = { device = "OutputDevice", pin = [5, 6], active_high = false }
[commands.switch]
effect = { set = "relay/{channel}", to = "on", lasting = "for" }
args.channel = { type = "int", range = [1, 4] }
args.on = { type = "bool" }
args.for = { type = "float", unit = "s", range = [0.01, 60], optional = true }
"""


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The pins of this machine are mock pins for one test."""
    pins = MockFactory(pin_class=MockPWMPin)
    monkeypatch.setattr(Device, "pin_factory", pins)
    yield pins
    assert not [ref for refs in pins._reservations.values() for ref in refs if ref() is not None]
    pins.reset()


def reading(source: str, kind: str = "bool", name: str = "x", more: str = "") -> str:
    return f'{HEAD}[readings.{name}]\ntype="{kind}"\n{more}\nsource={source}\n'


def gpio(text: str, **settings: object) -> GpioDriver:
    driver = create_driver(parse_profile(text, "pins.toml"), settings)
    assert isinstance(driver, GpioDriver)
    return driver


def in_a_thread(work: Callable[[], object]) -> None:
    """Does it as hardware does: not in the loop's thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)


def inside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Told:
    """What a driver told by itself."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def values(self, channel: str) -> list[Value]:
        return [sample.values[channel] for sample in self.samples if channel in sample.values]


@asynccontextmanager
async def listening(driver: GpioDriver) -> AsyncIterator[Told]:
    """Opens a driver and takes what it tells."""
    told = Told()

    async def take() -> None:
        async for sample in driver.samples():
            told.samples.append(sample)

    async with driver:
        task = asyncio.create_task(take())
        await until(lambda: bool(told.samples))
        yield told
        task.cancel()
        await asyncio.wait({task})


# Inputs.


async def test_an_input_tells_its_first_value_and_each_change_from_its_thread(factory: MockFactory) -> None:
    async with listening(gpio(reading('{device="Button", pin=17}'))) as told:
        assert told.values("x") == [False]
        in_a_thread(factory.pin(17).drive_low)
        await until(lambda: told.values("x") == [False, True])
        in_a_thread(factory.pin(17).drive_high)
        await until(lambda: told.values("x") == [False, True, False])
        assert told.samples[1].at is not None


async def test_an_input_that_is_active_at_the_start_is_told(factory: MockFactory) -> None:
    driver = gpio(reading('{device="DigitalInputDevice", pin=17, pull_up="floating", active_high=true}'))
    factory.pin(17).drive_high()
    async with listening(driver) as told:
        assert told.values("x") == [True]


async def test_a_change_wakes_a_loop_that_sleeps(factory: MockFactory) -> None:
    """Without call_soon_threadsafe a loop with nothing to do would hear of it much later."""
    async with gpio(reading('{device="Button", pin=17}')) as driver:
        samples = driver.samples()
        await anext(samples)
        timer = threading.Timer(0.1, factory.pin(17).drive_low)
        timer.start()
        async with asyncio.timeout(3):
            assert (await anext(samples)).values == {"x": True}
        timer.join()


@pytest.mark.parametrize(
    ("source", "level", "value"),
    [
        ('{device="Button", pin=17}', False, True),
        ('{device="Button", pin=17, active_high=true}', False, False),
        ('{device="Button", pin=17, active_high=true}', True, True),
        ('{device="Button", pin=17, pull_up=false}', True, True),
        ('{device="DigitalInputDevice", pin=17, pull_up=true}', False, True),
        ('{device="DigitalInputDevice", pin=17, pull_up=true, active_high=true}', True, True),
        ('{device="DigitalInputDevice", pin=17, active_high=false}', True, False),
        ('{device="MotionSensor", pin=17}', True, True),
        ('{device="LineSensor", pin=17}', False, True),
        ('{device="LineSensor", pin=17}', True, False),
    ],
)
async def test_which_level_means_true(factory: MockFactory, source: str, level: bool, value: bool) -> None:
    driver = gpio(reading(source))
    async with listening(driver) as told:
        pin = factory.pin(17)
        for high in (not level, level):
            in_a_thread(pin.drive_high if high else pin.drive_low)
            wanted = value if high == level else not value
            await until(lambda: told.values("x")[-1] is wanted)  # noqa: B023  # asked before the next turn
            assert (await driver.read())["x"] is wanted


async def test_a_button_counts_only_once_it_is_held(factory: MockFactory) -> None:
    async with listening(gpio(reading('{device="Button", pin=17, hold=0.1}'))) as told:
        in_a_thread(factory.pin(17).drive_low)
        in_a_thread(factory.pin(17).drive_high)
        in_a_thread(factory.pin(17).drive_low)
        await until(lambda: True in told.values("x"))
        in_a_thread(factory.pin(17).drive_high)
        await until(lambda: told.values("x")[-1] is False)
        assert told.values("x").count(True) == 1


async def test_pulses_are_counted(factory: MockFactory) -> None:
    driver = gpio(reading('{device="Button", pin=17}', "int", more="counter=true"))
    async with listening(driver) as told:
        for _ in range(5):
            in_a_thread(factory.pin(17).drive_low)
            in_a_thread(factory.pin(17).drive_high)
        await until(lambda: told.values("x")[-1] == 5)
        assert told.values("x") == [0, 1, 2, 3, 4, 5]
        assert await driver.read() == {"x": 5}


async def test_a_flood_of_changes_keeps_the_newest(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "MOST_NEWS", 10)
    async with gpio(reading('{device="Button", pin=17}', "int")) as driver:
        samples = driver.samples()
        await anext(samples)

        def press() -> None:
            for _ in range(100):
                factory.pin(17).drive_low()
                factory.pin(17).drive_high()

        await asyncio.to_thread(press)
        await asyncio.sleep(0)
        assert [(await anext(samples)).values["x"] for _ in range(10)] == list(range(91, 101))


# Outputs.


async def test_a_relay_is_switched_and_read_back(factory: MockFactory) -> None:
    driver = gpio(HEAD + RELAYS)
    async with listening(driver) as told:
        assert await driver.read() == {"relay/1": False, "relay/2": False}
        assert factory.pin(6).state == 1  # active low
        assert await driver.command("switch", {"channel": 2, "on": True}) == {"relay/2": True}
        assert factory.pin(6).state == 0
        assert factory.pin(5).state == 1
        assert await driver.read() == {"relay/1": False, "relay/2": True}
        await until(lambda: told.values("relay/2") == [False, True])
        assert told.values("relay/1") == [False]


async def test_a_relay_goes_back_after_its_time_and_tells_it(factory: MockFactory) -> None:
    driver = gpio(HEAD + RELAYS)
    async with listening(driver) as told:
        await driver.command("switch", {"channel": 1, "on": True, "for": 0.05})
        assert factory.pin(5).state == 0
        await until(lambda: told.values("relay/1") == [False, True, False])
        assert factory.pin(5).state == 1
        assert not driver._returning
        assert not driver._lent


async def test_a_command_in_between_decides(factory: MockFactory) -> None:
    driver = gpio(HEAD + RELAYS)
    async with listening(driver) as told:
        await driver.command("switch", {"channel": 1, "on": True, "for": 0.05})
        await driver.command("switch", {"channel": 1, "on": True})
        await asyncio.sleep(0.15)
        assert told.values("relay/1") == [False, True, True]
        # A second time goes on from the first, and back to what was before both.
        await driver.command("switch", {"channel": 2, "on": True, "for": 30.0})
        await driver.command("switch", {"channel": 2, "on": True, "for": 0.05})
        await until(lambda: told.values("relay/2")[-1] is False)
        # Off for a while, from on.
        await driver.command("switch", {"channel": 1, "on": False, "for": 0.05})
        await until(lambda: told.values("relay/1")[-2:] == [False, True])


async def test_who_stops_waiting_leaves_no_output_on(factory: MockFactory) -> None:
    driver = gpio(HEAD + RELAYS)
    async with listening(driver) as told:
        for _ in range(20):
            call = asyncio.create_task(driver.command("switch", {"channel": 1, "on": True, "for": 0.01}))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait({call})
        await until(lambda: bool(told.values("relay/1")[-1:] == [False] and not driver._working))
        await until(lambda: factory.pin(5).state == 1 and not driver._lent)


@pytest.mark.parametrize("close", ["off", "keep"])
async def test_at_its_end_a_relay_goes_off_or_stays(factory: MockFactory, close: str) -> None:
    pin = factory.pin(6)
    text = HEAD + RELAYS
    async with gpio(text, close=close) as driver:
        await driver.command("switch", {"channel": 2, "on": True})
        await driver.command("switch", {"channel": 1, "on": True, "for": 60.0})
        pin.clear_states()
    assert factory.pin(6).function == ("output" if close == "keep" else "input")
    assert (1 in [each.state for each in pin.states[1:]]) == (close == "off")
    if close == "keep":
        assert factory.pin(5).state == 1  # what was lent is given back all the same
        async with gpio(text, close=close) as again:
            assert await again.read() == {"relay/1": False, "relay/2": True}


async def test_a_dimmer_and_a_servo_are_set_in_their_units(factory: MockFactory) -> None:
    text = (
        HEAD
        + """
[readings.light]
type = "float"
source = { device = "PWMLED", pin = 18, scale = 100 }
[readings.arm]
type = "float"
source = { device = "Servo", pin = 19, scale = 90, offset = 90 }
[commands.dim]
effect = { set = "light", to = "level" }
args.level = { type = "float" }
[commands.turn]
effect = { set = "arm", to = "angle" }
args.angle = { type = "float" }
"""
    )
    async with gpio(text) as driver:
        assert await driver.read() == {"light": 0.0, "arm": 90.0}
        assert await driver.command("dim", {"level": 25.0}) == {"light": 25.0}
        assert factory.pin(18).state == 0.25
        assert await driver.command("turn", {"angle": 180.0}) == {"arm": 180.0}
        assert await driver.command("turn", {"angle": 0.0}) == {"arm": 0.0}
        with pytest.raises(ArgumentsError, match=r"light: 130\.0 is not in 0\.0 to 100\.0"):
            await driver.command("dim", {"level": 130.0})
        assert await driver.read() == {"light": 25.0, "arm": 0.0}


async def test_wrong_commands_are_refused() -> None:
    async with gpio(HEAD + RELAYS) as driver:
        with pytest.raises(UnknownCommandError, match="swich"):
            await driver.command("swich", {})
        with pytest.raises(ArgumentsError, match="9 is not in 1 to 4"):
            await driver.command("switch", {"channel": 9, "on": True})
        with pytest.raises(CommandFailedError, match="no channel 'relay/3'"):
            await driver.command("switch", {"channel": 3, "on": True})
    with pytest.raises(OSError, match="not open"):
        await driver.read()


async def test_an_output_that_cannot_be_set_back_fails_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gpio(HEAD + RELAYS) as driver:
        samples = driver.samples()
        await anext(samples)
        await driver.command("switch", {"channel": 1, "on": True, "for": 0.05})
        await anext(samples)

        def fail(_self: Board, channel: str, _value: Value) -> Value:
            raise OSError(5, f"{channel}: gone")

        monkeypatch.setattr(Board, "set", fail)
        with pytest.raises(OSError, match="relay/1: gone"):
            await anext(samples)
        monkeypatch.undo()


async def test_a_cancelled_open_lets_its_pins_go(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, made, closed = threading.Event(), threading.Event(), threading.Event()

    class Slow(Board):
        def __init__(self, *arguments: object) -> None:
            assert go.wait(5)
            super().__init__(*arguments)  # type: ignore[arg-type]  # as they came
            made.set()

        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr(driver_module, "Board", Slow)
    opening = asyncio.create_task(gpio(HEAD + RELAYS).__aenter__())
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go.set()
    assert await asyncio.to_thread(made.wait, 5)
    assert await asyncio.to_thread(closed.wait, 5)


# Pins and settings.


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


OUT = '{device="LED", pin=5}'


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
        (reading(OUT), {"pin": 5}, "driver gpio: unknown key pin in settings: did you mean pins"),
    ],
)
def test_a_wrong_profile_or_setting_is_told_before_a_pin_moves(
    text: str, settings: Mapping[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        gpio(text, **settings)


@pytest.mark.parametrize("simulated", [False, True])
async def test_a_pin_that_the_board_does_not_have_is_told(
    simulated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for device in ("LED", "Button"):
        with pytest.raises(ConfigError, match=r"readings\.x\.source: .*use the processor's numbers \(BCM\)"):
            async with gpio(reading(f'{{device="{device}", pin=45}}'), simulated=simulated):
                pass
    assert inside(tmp_path) == []


async def test_a_pin_that_another_part_of_the_program_has_is_told(factory: MockFactory) -> None:
    async with gpio(reading(OUT)):
        with pytest.raises(ConfigError, match="another part of this program has the pin"):
            async with gpio(HEAD + RELAYS.replace("5, 6", "6, 5")):
                pass
    async with gpio(HEAD + RELAYS):  # what was wired before the fault was let go
        pass


async def test_dimming_where_pins_cannot_is_told(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "pin_factory", MockFactory())
    with pytest.raises(ConfigError, match="these pins cannot dim"):
        async with gpio(reading('{device="PWMLED", pin=5}')):
            pass


async def test_a_machine_without_pins_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)

    def none() -> None:
        warnings.warn("Falling back from lgpio: No module named 'lgpio'", UserWarning, stacklevel=1)
        raise __import__("gpiozero").BadPinFactory("Unable to load any default pin factory!")

    monkeypatch.setattr(Device, "_default_pin_factory", staticmethod(none))
    with pytest.raises(
        ConfigError, match=r"No module named 'lgpio'.*python3-lgpio.*simulated = true"
    ) as caught:
        async with gpio(reading(OUT)):
            pass
    assert "GPIOZERO_PIN_FACTORY=mock" in str(caught.value)


async def test_a_missing_gpiozero_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(ConfigError, match=r"pip install 'iotxmpp\[pi\]'"):
        async with gpio(reading(OUT)):
            pass


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError("GPIO busy"), OSError, "another program has the pin"),
        (RuntimeError("can not open gpiochip"), PermissionError, "usermod -aG gpio"),
        (PermissionError(13, "/dev/gpiochip0"), PermissionError, "usermod -aG gpio"),
        (OSError(5, "bus"), OSError, "x: .*bus"),
        (RuntimeError("odd"), OSError, "x: RuntimeError: odd"),
    ],
)
def test_faults_of_pin_libraries_are_told_with_what_to_do(
    error: Exception, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words), advised("x"):
        raise error


def test_gpiozero_is_not_brought_in_before_it_is_needed() -> None:
    script = (
        "import sys\nfrom iotxmpp.agent.drivers import create_driver\n"
        "from iotxmpp.profiles import parse_profile\n"
        f"create_driver(parse_profile({(HEAD + RELAYS)!r}, 'x'), {{'simulated': True}})\n"
        "assert 'gpiozero' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# Simulated.

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


async def test_a_distance_sensor_without_echo_is_a_problem_of_its_channel(factory: MockFactory) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gpiozero warns in its own thread at each missing echo
        async with gpio(reading('{device="DistanceSensor", echo=24, trigger=23}', "float")) as driver:
            value = (await driver.read())["x"]
    assert isinstance(value, OSError)
    assert "x: no echo; check the wires of trigger (pin 23) and echo (pin 24)" in str(value)


# In an agent.


async def test_a_press_is_published_once_and_a_command_shows_at_once(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = RELAYS.replace('type = "bool"\ncount', 'type = "bool"\non_change = true\nevery = 0.02\ncount')
    text = reading('{device="Button", pin=17}', more="on_change=true\nevery=0.02") + head
    profile = parse_profile(text, "pins.toml")
    async with open_house() as house:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
        agent = house.agent()
        equip(agent, profile, lambda: create_driver(profile, {}))
        async with agent:
            await until(lambda: house.values("x") == [False])
            for level in (factory.pin(17).drive_low, factory.pin(17).drive_high):
                before = len(house.values("x"))
                in_a_thread(level)
                await until(lambda: len(house.values("x")) > before)  # noqa: B023  # asked before the next turn
            assert await house.call("switch", {"channel": 2, "on": True}) == {"relay/2": True}
            await until(lambda: house.values("relay/2") == [False, True])
            await asyncio.sleep(0.1)  # some readings more, of what has been told
            assert agent.status.problems == ()
        assert house.values("x") == [False, True, False]
        assert house.values("relay/2") == [False, True]
    assert factory.pin(6).function == "input"
