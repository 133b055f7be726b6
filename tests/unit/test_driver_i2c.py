"""The i2c driver, over simulated chips and over a stand-in for smbus2."""

import asyncio
import errno
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from types import ModuleType
from typing import cast

import pytest
from smbus2 import i2c_msg

from device_profiles import load
from iotxmpp.agent.drivers import create_driver, i2c
from iotxmpp.agent.drivers.i2c import I2cDriver, bme280, driver
from iotxmpp.agent.drivers.i2c.bus import KernelBus
from iotxmpp.agent.drivers.i2c.driver import I2cSettings
from iotxmpp.agent.drivers.i2c.fakes import CALIBRATION, FakeBme280, FakeScd4x, SimulatedBus
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import CommandFailedError, ConfigError, UnknownCommandError
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until
from tests.unit.documents import TEXTS, section
from tests.unit.loaded import loaded_by, tops

AIR = {"temperature": 21.37, "humidity": 48.25, "pressure": 100_412.0}
HEAD = 'schema=1\nid="air"\nversion="1.0.0"\ndriver={kind="i2c", chip="bme280"}\n'


def i2c_driver(name: str = "bme280", **settings: object) -> I2cDriver:
    profile = load(name)
    return I2cDriver(profile=profile, settings={**profile.driver.settings, **settings})


class Smbus2(ModuleType):
    """Stands in for smbus2: messages, and buses with simulated chips."""

    class i2c_msg:  # noqa: N801  # the library's own name
        def __init__(self, address: int, data: bytes, count: int) -> None:
            self.address, self.data, self.count = address, data, count

        @classmethod
        def write(cls, address: int, data: bytes) -> "Smbus2.i2c_msg":
            return cls(address, data, 0)

        @classmethod
        def read(cls, address: int, count: int) -> "Smbus2.i2c_msg":
            return cls(address, b"", count)

        def __iter__(self) -> Iterator[int]:
            return iter(self.data)

    def __init__(self, bus: SimulatedBus) -> None:
        super().__init__("smbus2")
        self.bus = bus
        self.fault: OSError | None = None
        self.opened: list[str] = []
        self.closed = 0

    def SMBus(self, path: str) -> "Smbus2":  # noqa: N802  # the library's own name
        if self.fault is not None:
            raise self.fault
        self.opened.append(path)
        return self

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        for message in messages:
            if message.count:
                message.data = self.bus.read(message.address, message.count)
            else:
                self.bus.write(message.address, message.data)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Smbus2:
    """A stand-in with a BME280 at 0x76, a BMP280 at 0x77 and another chip at 0x50."""
    chips = {
        0x76: FakeBme280(lambda: AIR),
        0x77: FakeBme280(lambda: AIR, number=0x58),
        0x50: FakeBme280(lambda: AIR, number=0x61),
    }
    stand_in = Smbus2(SimulatedBus(chips))
    monkeypatch.setitem(sys.modules, "smbus2", stand_in)
    return stand_in


async def test_a_bme280_is_read_through_the_kernels_bus(library: Smbus2) -> None:
    async with i2c_driver(bus=3) as sensor:
        values = await sensor.read()
        assert values == {"temperature": 21.37, "humidity": 48.25, "pressure": 1004.12}
        assert await sensor.command("reset", {}) == {"reset": True}
        assert await sensor.read() == values
    assert library.opened == ["/dev/i2c-3"]
    assert library.closed == 1
    with pytest.raises(OSError, match="not open"):
        await sensor.read()


@pytest.mark.parametrize("oversampling", [1, 2, 4, 8, 16])
async def test_oversampling_is_what_the_chip_is_asked_for(library: Smbus2, oversampling: int) -> None:
    async with i2c_driver(oversampling=oversampling) as sensor:
        assert (await sensor.read())["temperature"] == 21.37
    rate = {1: 1, 2: 2, 4: 3, 8: 4, 16: 5}[oversampling]
    assert library.bus.ask(0x76, b"\xf4", 1)[0] == rate << 5 | rate << 2
    assert library.bus.ask(0x76, b"\xf2", 1)[0] == rate


async def test_a_bmp280_gives_what_it_has_and_says_what_it_has_not(library: Smbus2) -> None:
    async with i2c_driver(address=0x77) as sensor:
        values = await sensor.read()
    assert values["temperature"] == 21.37
    assert values["pressure"] == 1004.12
    assert isinstance(values["humidity"], OSError)
    assert 'this chip is a BMP280, which has no humidity; drop it by without = ["humidity"]' in str(
        values["humidity"]
    )


async def test_another_chip_and_none_at_all_are_told(library: Smbus2) -> None:
    with pytest.raises(OSError, match="0x50: the chip's id is 0x61, a BME680; a BME280 has 0x60"):
        async with i2c_driver(address=0x50):
            pass
    advice = "/dev/i2c-1: nothing answers at 0x40; a BME280 is at 0x76, or at 0x77 .*i2cdetect -y 1"
    with pytest.raises(OSError, match=advice):
        async with i2c_driver(address=0x40):
            pass
    assert library.closed == 2


async def test_a_chip_that_goes_away_is_told_and_its_bus_is_closed(library: Smbus2) -> None:
    async with i2c_driver() as sensor:
        library.bus = SimulatedBus({})
        with pytest.raises(OSError, match="nothing answers at 0x76") as caught:
            await sensor.read()
        assert caught.value.errno == errno.EREMOTEIO
        with pytest.raises(CommandFailedError, match="reset: /dev/i2c-1: nothing answers"):
            await sensor.command("reset", {})
        with pytest.raises(UnknownCommandError):
            await sensor.command("dance", {})
    assert library.closed == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), "no such I2C bus; on a Raspberry Pi: sudo raspi-config"),
        (PermissionError(errno.EACCES, "x"), "may not be opened: sudo usermod -aG i2c USER"),
    ],
)
async def test_a_bus_that_cannot_be_opened_says_what_to_do(
    library: Smbus2, fault: OSError, words: str
) -> None:
    library.fault = fault
    with pytest.raises(type(fault), match=words):
        async with i2c_driver():
            pass


async def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", None)
    with pytest.raises(ConfigError, match=r"smbus2 is not installed; run: pip install 'iotxmpp\[pi\]'"):
        async with i2c_driver():
            pass


def test_the_real_library_has_what_is_used() -> None:
    # On this machine there is no such bus; the real library says so.
    with pytest.raises(FileNotFoundError, match="/dev/i2c-250: no such I2C bus"):
        KernelBus(250)
    message = i2c_msg.write(0x76, b"\xf4\x25")
    # Its types say that it iterates to a number; it gives its bytes, as the driver takes them.
    assert bytes(list(cast("Iterable[int]", message))) == b"\xf4\x25"
    assert bytes(list(cast("Iterable[int]", i2c_msg.read(0x76, 3)))) == bytes(3)


class Broken(FakeBme280):
    """A chip with a fault."""

    def __init__(self, register: int, value: int) -> None:
        super().__init__(lambda: AIR)
        self.at, self.value = register, value

    def read(self, count: int) -> bytes:
        data = super().read(count)
        return bytes([self.value]) * count if self._pointer == self.at else data


@pytest.mark.parametrize(
    ("register", "value", "words"),
    [
        (0xF3, 0xFF, "it does not come back from its reset"),
        (0x88, 0x00, "its calibration is only 0x00"),
        (0x88, 0xFF, "its calibration is only 0xff"),
    ],
)
async def test_a_chip_that_does_not_start_is_told(
    library: Smbus2, register: int, value: int, words: str
) -> None:
    library.bus = SimulatedBus({0x76: Broken(register, value)})
    with pytest.raises(OSError, match=f"/dev/i2c-1: 0x76: {words}"):
        async with i2c_driver():
            pass


async def test_a_chip_that_does_not_measure_is_told(library: Smbus2, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Broken(0, 0)
    library.bus = SimulatedBus({0x76: chip})
    async with i2c_driver() as sensor:
        chip.at, chip.value = 0xF3, 0x08
        with pytest.raises(OSError, match="its measurement does not end"):
            await sensor.read()
        chip.at = 0
        assert len(await sensor.read()) == 3
        await sensor.command("reset", {})
        monkeypatch.setattr(chip, "_measure", lambda asked: None)
        with pytest.raises(OSError, match="0x76: it did not measure; check its power"):
            await sensor.read()


async def test_a_chip_that_lost_its_power_between_is_told_again_what_to_measure(library: Smbus2) -> None:
    async with i2c_driver() as sensor:
        values = await sensor.read()
        library.bus.write(0x76, b"\xe0\xb6")
        assert await sensor.read() == values


async def test_an_scd4x_is_read_through_the_kernels_bus(library: Smbus2) -> None:
    library.bus = SimulatedBus({0x62: FakeScd4x(lambda: {"co2": 800.0}, clock=time.monotonic, every=0.0)})
    async with i2c_driver("scd4x") as sensor:
        assert (await sensor.read())["co2"] == 800.0
    assert library.closed == 1


@pytest.mark.parametrize("name", ["bme280", "scd4x"])
async def test_shipped_profiles_run_simulated(name: str) -> None:
    async with i2c_driver(name, simulated=True, seed=5) as sensor:
        values = await sensor.read()
        again = i2c_driver(name, simulated=True, seed=6)
        async with again:
            if name == "bme280":
                assert values.keys() == load(name).readings.keys()
                assert await again.read() != values
            else:
                assert values == {}  # it warms up


async def test_a_simulated_chip_measures_what_the_profile_simulates() -> None:
    text = HEAD + '[readings.hot]\ntype="float"\nrange=[-40,85]\nsource={value="temperature"}\n'
    text += 'simulate={wave="steady", mean=34.5, noise=0}\n'
    text += '[readings.pressure]\ntype="int"\nunit="Pa"\nrange=[30000,110000]\n'
    text += 'simulate={wave="steady", mean=99000, noise=0}\n'
    made = I2cDriver(profile=parse_profile(text, "air.toml"), settings={"chip": "bme280", "simulated": True})
    async with made as sensor:
        values = await sensor.read()
    assert values["hot"] == 34.5
    assert values["pressure"] == pytest.approx(99_000, abs=2)


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("", {"chip": "bme281"}, "chip: .*'bme280' or 'scd4x'"),
        ("", {"chip": "bme280", "address": 0x03}, "address: "),
        ("", {"chip": "bme280", "pin": 3}, "unknown key pin in driver.*known: chip, bus, address"),
        ('[readings.co2]\ntype="float"\n', {"chip": "bme280"}, "readings.co2: bme280 has no value 'co2'"),
        (
            '[readings.t]\ntype="float"\nsource={valve="x"}\n',
            {"chip": "bme280"},
            r"unknown key valve in readings\.t\.source: did you mean value",
        ),
        ('[readings.temperature]\ntype="float"\nunit="K"\n', {"chip": "bme280"}, "is a float in Cel"),
        ('[readings.pressure]\ntype="bool"\n', {"chip": "bme280"}, "is a float in hPa or Pa"),
        ("[commands.heat]\n", {"chip": "scd4x"}, "no command 'heat'; there is reset"),
    ],
)
def test_what_does_not_fit_is_told(text: str, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        I2cDriver(profile=parse_profile(HEAD + text, "air.toml"), settings=settings)


async def test_an_opening_that_is_cancelled_leaves_no_bus_open(
    library: Smbus2, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow(KernelBus):
        def __init__(self, number: int) -> None:
            begun.set()
            go.wait(5)
            super().__init__(number)

    monkeypatch.setattr(driver, "KernelBus", Slow)
    opening = asyncio.create_task(i2c_driver().__aenter__())
    await asyncio.to_thread(begun.wait, 5)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go.set()
    await until(lambda: library.closed > 0)
    assert library.closed == 1


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        monkeypatch.setattr("iotxmpp.backoff.random.uniform", lambda _low, _high: 0.0)
        yield opened


async def test_a_chip_that_is_pulled_out_is_a_problem_until_it_is_back(library: Smbus2, house: House) -> None:
    text = HEAD + '[readings.temperature]\ntype="float"\nunit="Cel"\nrange=[-40,85]\nevery=0.02\n'
    profile = parse_profile(text, "air.toml")
    agent = house.agent()
    equip(agent, profile, lambda: create_driver(profile, {}))
    async with agent:
        await until(lambda: 21.37 in house.values("temperature"))
        there, library.bus = library.bus, SimulatedBus({})
        await until(lambda: "nothing answers at 0x76" in str(agent.status.problems))
        library.bus = there
        await until(lambda: agent.status.problems == ())


def test_the_simulated_calibration_is_one_that_a_chip_could_have() -> None:
    assert bme280.calibration(*bme280.calibration_bytes(CALIBRATION)) == CALIBRATION


def test_the_documents_name_every_setting() -> None:
    (page,) = [text for text in TEXTS.values() if "\n## I2C\n" in text]
    cells = " ".join(re.findall(r"^\| (`[^|]*)\|", section(page, "## I2C"), re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", cells)) == {*I2cSettings.model_fields, "bme280", "scd4x"}


def test_the_driver_is_found_by_its_kind() -> None:
    assert isinstance(create_driver(load("bme280"), {"address": 0x77}), I2cDriver)


def test_the_driver_brings_in_no_library_that_it_may_not_need() -> None:
    found = tops(loaded_by(f"import {i2c.__name__}"))
    unwanted: Sequence[str] = ("pymodbus", "smbus2", "serial", "gpiozero")
    assert not found & set(unwanted)
