"""The onewire driver over directories as the kernel shows a bus."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import device_profiles
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.onewire import OneWireDriver, temperature
from iotxmpp.agent.drivers.onewire_tree import answer, checksum
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import ConfigError, UnknownCommandError
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until

FIRST, SECOND = "28-0316a2794ff3", "28-0000075d2a1b"
HEAD = 'schema=1\nid="water"\nversion="1.0.0"\ndriver={kind="onewire"}\n'
ONE = HEAD + '[readings.temperature]\ntype="float"\nunit="Cel"\nrange=[-55,125]\nevery=0.02\n'
TWO = HEAD + '[readings.tank]\ntype="float"\nunit="Cel"\ncount=2\n'
# As a DS18B20 of 23.125 Cel answers, from the kernel's documentation (w1_therm).
PUBLISHED = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    """A bus with one sensor, and its master beside it."""
    (tmp_path / "w1_bus_master1").mkdir()
    plug(tmp_path, FIRST, PUBLISHED)
    return tmp_path


def plug(bus: Path, sensor: str, text: str, file: str = "w1_slave") -> None:
    (bus / sensor).mkdir(exist_ok=True)
    (bus / sensor / file).write_text(text)


def onewire(text: str, **settings: object) -> OneWireDriver:
    driver = create_driver(parse_profile(text, "water.toml"), settings)
    assert isinstance(driver, OneWireDriver)
    return driver


async def test_the_only_sensor_is_found_and_read(bus: Path) -> None:
    async with onewire(ONE, root=bus) as driver:
        assert await driver.read() == {"temperature": 23.125}
        with pytest.raises(UnknownCommandError, match="onewire has none"):
            await driver.command("heat", {})


async def test_the_newer_file_serves_where_the_older_is_not(bus: Path) -> None:
    (bus / FIRST / "w1_slave").unlink()
    plug(bus, FIRST, "-10062\n", "temperature")
    async with onewire(ONE, root=bus) as driver:
        assert await driver.read() == {"temperature": -10.062}
        plug(bus, FIRST, "", "temperature")
        with pytest.raises(OSError, match="a damaged answer; check wires and resistor"):
            await driver.read()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PUBLISHED.replace("YES", "NO"), "its checksum is wrong"),
        ("", "its checksum is wrong"),
        (PUBLISHED.replace("t=23125", "t="), "its checksum is wrong"),
        ("00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", "only zeros"),
        (PUBLISHED.replace("23125", "85000"), "85 Cel, what it shows before it has measured"),
        (PUBLISHED.replace("23125", "127937"), "127.937 Cel, what no such sensor measures"),
        (PUBLISHED.replace("23125", "127940"), "127.94 Cel, what no such sensor measures"),
        (PUBLISHED.replace("23125", "-62000"), "-62 Cel, what no such sensor measures"),
    ],
)
def test_what_is_no_measurement_is_refused(bus: Path, text: str, words: str) -> None:
    plug(bus, FIRST, text)
    with pytest.raises(OSError, match=words) as caught:
        temperature(bus / FIRST)
    assert FIRST in str(caught.value)


@pytest.mark.parametrize("millidegrees", [0, 84_937, 85_062, -55_000, 125_000])
def test_what_is_nearly_wrong_is_right(bus: Path, millidegrees: int) -> None:
    plug(bus, FIRST, PUBLISHED.replace("23125", str(millidegrees)))
    assert temperature(bus / FIRST) == millidegrees / 1000


@pytest.mark.parametrize("file", ["w1_slave", "temperature"])
@pytest.mark.parametrize("digits", [10, 400, 5000])
async def test_a_number_without_end_is_its_own_sensors_error_alone(bus: Path, digits: int, file: str) -> None:
    number = "2" * digits
    plug(bus, SECOND, PUBLISHED.replace("23125", number) if file == "w1_slave" else number, file)
    async with onewire(TWO, root=bus, id=[FIRST, SECOND]) as driver:
        values = await driver.read()
    assert values["tank/1"] == 23.125
    assert isinstance(values["tank/2"], OSError)
    assert f"{SECOND}: a damaged answer" in str(values["tank/2"])


@given(st.binary(max_size=200))
@example(b"\x1c0")
def test_nothing_on_the_bus_raises_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    bus = tmp_path_factory.mktemp("bus")
    (bus / FIRST).mkdir()
    for file in ("w1_slave", "temperature"):
        (bus / FIRST / file).write_bytes(data)
        try:
            assert -55 <= temperature(bus / FIRST) <= 125
        except OSError as error:
            assert FIRST in str(error)  # noqa: PT017  # either outcome is right
        (bus / FIRST / file).unlink()


async def test_several_sensors_are_read_and_one_may_vanish(bus: Path) -> None:
    plug(bus, SECOND, answer(4.0))
    async with onewire(TWO, root=bus, id=[FIRST, SECOND]) as driver:
        assert await driver.read() == {"tank/1": 23.125, "tank/2": 4.0}
        shutil.rmtree(bus / SECOND)
        values = await driver.read()
        assert values["tank/1"] == 23.125
        assert isinstance(values["tank/2"], FileNotFoundError)
        assert f"{SECOND}: not on the bus any more" in str(values["tank/2"])
        plug(bus, SECOND, answer(5.0))
        assert await driver.read() == {"tank/1": 23.125, "tank/2": 5.0}


HANGING = """
import asyncio, sys
from pathlib import Path
from iotxmpp.agent.drivers import create_driver
from iotxmpp.profiles import parse_profile

async def main():
    async with create_driver(parse_profile(sys.argv[2], "x"), {"root": Path(sys.argv[1])}) as driver:
        reading = asyncio.create_task(driver.read())
        done, _ = await asyncio.wait({reading}, timeout=0.3)
        assert not done
        reading.cancel()

asyncio.run(main())
print("ended")
"""


def test_a_sensor_that_hangs_does_not_hold_the_programs_end(bus: Path) -> None:
    (bus / FIRST / "w1_slave").unlink()
    os.mkfifo(bus / FIRST / "w1_slave")
    done = subprocess.run(
        [sys.executable, "-c", HANGING, str(bus), ONE], check=True, timeout=30, capture_output=True, text=True
    )
    assert done.stdout == "ended\n"


async def test_sensors_are_named_in_the_profile_or_by_channel(bus: Path) -> None:
    plug(bus, SECOND, answer(4.0))
    text = TWO + f'source={{id=["{FIRST}", "{SECOND}"]}}\n'
    async with onewire(text, root=bus) as driver:
        assert await driver.read() == {"tank/1": 23.125, "tank/2": 4.0}
    async with onewire(text, root=bus, id={"tank/1": SECOND.upper()}) as driver:
        assert await driver.read() == {"tank/1": 4.0, "tank/2": 4.0}


async def test_a_bus_without_a_sensor_or_none_at_all_is_told(bus: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no 1-Wire bus; on a Raspberry Pi"):
        async with onewire(ONE, root=bus / "none"):
            pass
    shutil.rmtree(bus / FIRST)
    with pytest.raises(FileNotFoundError, match="no thermometer on the bus"):
        async with onewire(ONE, root=bus):
            pass


async def test_several_sensors_for_one_channel_need_a_choice(bus: Path) -> None:
    plug(bus, SECOND, answer(4.0))
    with pytest.raises(ConfigError, match=f'2 sensors: {SECOND}, {FIRST}; say which: id = "{SECOND}"'):
        async with onewire(ONE, root=bus):
            pass
    async with onewire(ONE, root=bus, id=SECOND) as driver:
        assert await driver.read() == {"temperature": 4.0}


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        (ONE, {"id": "28-xyz"}, "use a thermometer's id as the kernel has it"),
        (ONE, {"id": [FIRST, SECOND]}, "id: 2 given, for 1 channels"),
        (ONE, {"id": {"air": FIRST}}, r"id\.air: no such channel; there is temperature"),
        (TWO, {}, "which sensor is tank/1"),
        (ONE.replace("Cel", "K"), {}, "temperature is a float in Cel"),
        (ONE.replace("float", "int"), {}, "temperature is a float in Cel"),
        (ONE + "source={pin=4}", {}, r"unknown key pin in readings\.temperature\.source.*known: id"),
        (ONE + "[commands.heat]", {}, "no command 'heat'"),
        (ONE, {"bus": 1}, "driver onewire: unknown key bus in driver"),
    ],
)
def test_a_wrong_profile_or_setting_is_told(text: str, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        onewire(text, **settings)


async def test_the_simulated_bus_is_read_like_a_real_one() -> None:
    driver = onewire(TWO + 'range=[0, 30]\nsimulate={wave="walk"}\n', simulated=True, seed=3)
    async with driver:
        assert driver._tree is not None
        root = driver._root
        assert sorted(path.name for path in root.iterdir()) == ["28-000000000001", "28-000000000002"]
        values = await driver.read()
        shutil.rmtree(root / "28-000000000002")
        assert isinstance((await driver.read())["tank/2"], OSError)
    assert values.keys() == {"tank/1", "tank/2"}
    assert all(isinstance(value, float) and 0 <= value <= 30 for value in values.values())
    assert not root.exists()


async def test_the_shipped_thermometer_can_be_simulated() -> None:
    profile = device_profiles.load("ds18b20")
    async with create_driver(profile, {"simulated": True}) as driver:
        assert (await driver.read()).keys() == profile.channels().keys()


async def test_a_simulated_bus_is_removed_after_a_failed_open(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = onewire(ONE, simulated=True)
    roots = list[Path]()

    def fail() -> dict[str, str]:
        roots.append(driver._root)
        raise OSError("no")

    monkeypatch.setattr(driver, "_find", fail)
    with pytest.raises(OSError, match="no"):
        await driver.__aenter__()
    assert not roots[0].exists()


def test_the_simulated_answer_has_the_published_form() -> None:
    assert checksum(bytes.fromhex("72014b467fff0e10")) == 0x57
    assert answer(-10.125).endswith(" t=-10125\n")
    assert answer(-10.125).startswith("5e ff 4b")


# In an agent.


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        monkeypatch.setattr("iotxmpp.backoff.random.uniform", lambda _low, _high: 0.0)
        yield opened


async def test_a_sensor_that_vanishes_is_a_problem_until_it_is_back(house: House, bus: Path) -> None:
    profile = parse_profile(ONE, "water.toml")
    agent = house.agent()
    equip(agent, profile, lambda: create_driver(profile, {"root": bus}))
    async with agent:
        await until(lambda: bool(house.values("temperature")))
        shutil.rmtree(bus / FIRST)
        await until(lambda: bool(agent.status.problems))
        assert "28-0316a2794ff3" in agent.status.problems[0] or "no thermometer" in agent.status.problems[0]
        plug(bus, SECOND, answer(7.5))  # its replacement
        await until(lambda: house.values("temperature")[-1] == 7.5)
        assert agent.status.problems == ()
