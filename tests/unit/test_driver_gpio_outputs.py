"""The gpio driver's outputs: set by commands, for good or for a time, and let go at the end."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory  # type: ignore[import-untyped]  # it has no types

from iotxmpp.agent.drivers.gpio import driver as driver_module
from iotxmpp.agent.drivers.gpio.board import Board
from iotxmpp.errors import ArgumentsError, CommandFailedError, UnknownCommandError
from iotxmpp.readings import Value
from tests.unit.agent_house import until
from tests.unit.pins_house import HEAD, RELAYS, gpio, listening, mock_pins


@pytest.fixture(autouse=True)
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    with mock_pins(monkeypatch) as pins:
        yield pins


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
