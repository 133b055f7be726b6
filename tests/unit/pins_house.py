"""gpiozero's mock pins, which other threads drive, and gpio drivers over them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from gpiozero import Device  # type: ignore[import-untyped]  # it has no types
from gpiozero.pins.mock import MockFactory, MockPWMPin  # type: ignore[import-untyped]  # likewise

from iotxmpp.agent.drivers import Sample, create_driver
from iotxmpp.agent.drivers.gpio import GpioDriver
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.agent_house import until

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
OUT = '{device="LED", pin=5}'


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


class Told:
    """What a driver told by itself."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def values(self, channel: str) -> list[Value | OSError]:
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


@contextmanager
def mock_pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The pins of this machine are mock pins for one test, and all are let go at its end."""
    pins = MockFactory(pin_class=MockPWMPin)
    monkeypatch.setattr(Device, "pin_factory", pins)
    yield pins
    assert not [ref for refs in pins._reservations.values() for ref in refs if ref() is not None]
    pins.reset()
