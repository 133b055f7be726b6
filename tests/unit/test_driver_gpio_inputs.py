"""The gpio driver's inputs: what is told of a level that another thread changes."""

import asyncio
import threading
import warnings
from collections.abc import Iterator

import pytest
from gpiozero import Device  # type: ignore[import-untyped]  # it has no types
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # likewise

from iotxmpp.agent.drivers.gpio import driver as driver_module
from tests.unit.agent_house import until
from tests.unit.pins_house import gpio, in_a_thread, listening, mock_pins, reading


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    with mock_pins(monkeypatch) as pins:
        yield pins


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


class Silent(MockFactory):  # type: ignore[misc]  # of a class without types
    """Pins that are there, at which nothing answers."""


@pytest.mark.parametrize(
    ("pins", "words"),
    [
        (Silent, "x: no echo; check the wires of trigger (pin 23) and echo (pin 24)"),
        (MockFactory, "x: no echo; mock pins give none: simulated = true in [driver] simulates the sensor"),
    ],
)
async def test_a_distance_sensor_without_echo_is_a_problem_of_its_channel(
    monkeypatch: pytest.MonkeyPatch, pins: type[MockFactory], words: str
) -> None:
    monkeypatch.setattr(Device, "pin_factory", pins())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gpiozero warns in its own thread at each missing echo
        async with gpio(reading('{device="DistanceSensor", echo=24, trigger=23}', "float")) as driver:
            value = (await driver.read())["x"]
    assert isinstance(value, OSError)
    assert words in str(value)
