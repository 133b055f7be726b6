"""Simulated values that follow from others: they fit, and what cannot follow is refused."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import device_profiles
from firmware_bridge.memorypms import simulated_frame
from firmware_bridge.pms5003 import decode
from iotxmpp.agent.drivers import signals
from iotxmpp.agent.drivers.modbus.driver import ModbusDriver
from iotxmpp.agent.drivers.moment import Moment
from iotxmpp.agent.drivers.simulated import SimulatedDriver
from iotxmpp.cli.app import app
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import Profile, parse_profile
from iotxmpp.readings import Value
from iotxmpp.simulation.driver import Course, FleetDriver

JULY = 1_782_864_000.0
DAY = 86_400.0
HEAD = 'schema = 1\nid = "x"\nversion = "1.0.0"\ndriver = { kind = "simulated" }\n'


def rows(name: str, *, every: float = 600.0, seconds: float = DAY) -> Iterator[dict[str, float]]:
    """What ten devices of a fleet read, as numbers."""
    for number in range(10):
        driver = FleetDriver(
            device_profiles.load(name),
            name=f"7/{name}-{number}",
            course=Course(since=JULY),
            elapsed=lambda: 0.0,
        )
        for turn in range(int(seconds / every)):
            values = asyncio.run(driver.sensed(turn * every))
            yield {channel: float(value) for channel, value in values.items() if not isinstance(value, str)}


def test_fine_dust_contains_finer_dust() -> None:
    found = list(rows("pms5003"))
    assert all(row["pm1"] <= row["pm2.5"] <= row["pm10"] for row in found)
    assert all(row["particles-0.3"] >= row["particles-2.5"] for row in found)
    assert len({row["pm10"] - row["pm2.5"] for row in found}) > 3


def test_power_is_voltage_by_current_by_power_factor() -> None:
    for row in rows("sdm120"):
        power = row["voltage"] * row["current"] * row["power-factor"]
        assert row["power"] == pytest.approx(power, abs=0.06 + 0.0006 * 240)
        assert row["energy-fed-in"] == 0
        assert row["power"] > 0


def test_three_phases_are_the_whole() -> None:
    for row in rows("sdm630"):
        assert row["power"] == pytest.approx(sum(row[f"phase-power/{n}"] for n in (1, 2, 3)), abs=0.06)
        for n in (1, 2, 3):
            power = row[f"voltage/{n}"] * row[f"current/{n}"] * row["power-factor"]
            assert row[f"phase-power/{n}"] == pytest.approx(power, abs=0.06 + 0.0006 * 240)


@pytest.mark.parametrize("name", ["energy-meter", "sdm120", "sdm630"])
def test_energy_is_power_over_time(name: str) -> None:
    found = list(rows(name, every=20, seconds=7200))[:360]
    power = sum(row["power"] for row in found[:-1]) * 20 / 3.6e6
    energy = found[-1]["energy"] - found[0]["energy"]
    assert energy == pytest.approx(power, rel=0.005)
    assert [row["energy"] for row in found] == sorted(row["energy"] for row in found)


@pytest.mark.parametrize("period", [7.0, 90.0, 86_400.0])
def test_what_a_walk_adds_up_to_is_what_it_walked(period: float) -> None:
    for start in (JULY, -5e8):
        end, steps = start + 50 * period, 20_000
        step = (end - start) / steps
        walked = math.fsum(
            signals.walk("a", start + (n + 0.5) * step, 3.0, 2.0, period) * step for n in range(steps)
        )
        total = signals.walk_total("a", end, 3.0, 2.0, period) - signals.walk_total(
            "a", start, 3.0, 2.0, period
        )
        assert total == pytest.approx(walked, rel=1e-5)


def test_what_a_day_adds_up_to_is_its_mean_and_its_wave() -> None:
    noon = JULY + DAY / 2
    steps = [signals.daily(noon + n, 3.0, 2.0) for n in range(3600)]
    total = signals.daily_total(noon + 3600, 3.0, 2.0) - signals.daily_total(noon, 3.0, 2.0)
    assert total == pytest.approx(sum(steps), rel=1e-3)


async def test_simulated_hardware_fits_too() -> None:
    meter = device_profiles.load("sdm630")
    driver = ModbusDriver(profile=meter, settings={**meter.driver.settings, "simulated": True})
    for _ in range(5):  # a reading at the turn of a second may see both
        async with driver:
            values = await driver.read()
        watts = {name: value for name, value in values.items() if isinstance(value, float)}
        phases = sum(watts[f"phase-power/{n}"] for n in (1, 2, 3))
        if watts["power"] == pytest.approx(phases, abs=0.06):
            break
    else:
        pytest.fail(str(values))
    profile = device_profiles.load("pms5003")
    names = {channel: channel for channel in profile.readings}
    for turn in range(200):
        frame = simulated_frame(profile.reading_kinds(), names, seed="a", now=JULY + turn * 600)
        dust = decode(frame).values
        assert dust["pm1"] <= dust["pm2.5"] <= dust["pm10"]


async def test_what_a_command_set_counts() -> None:
    profile = parse_profile(
        HEAD
        + '[readings.a]\ntype = "float"\n[readings.b]\ntype = "float"\nsimulate = { sum_of = ["a"] }\n'
        + '[commands.set]\neffect = { set = "a", to = "to" }\nargs.to = { type = "float" }\n',
        "x.toml",
    )
    driver = SimulatedDriver(profile=profile, settings={})
    await driver.command("set", {"to": 12.5})
    assert await driver.read() == {"a": 12.5, "b": 12.5}


def one(profile: Profile, channel: str) -> Value:
    return Moment(profile.reading_kinds(), seed="x", now=JULY).value(channel)


def test_a_divisor_of_0_gives_0_and_a_missing_part_the_own_signal() -> None:
    still = "wave = 'steady', noise = 0, mean"
    profile = parse_profile(
        HEAD
        + f"readings.a = {{ type = 'float', simulate = {{ {still} = 5 }} }}\n"
        + f"readings.b = {{ type = 'float', simulate = {{ {still} = 0 }} }}\n"
        + f"readings.c = {{ type = 'float', simulate = {{ {still} = 7, quotient_of = ['a', 'b'] }} }}\n",
        "x.toml",
    )
    assert one(profile, "c") == 0
    alone = {"c": profile.reading_kinds()["c"]}
    assert Moment(alone, seed="x", now=JULY).value("c") == 7


def test_a_part_that_is_taken_away_leaves_the_own_signal(tmp_path: Path) -> None:
    file = tmp_path / "child.toml"
    file.write_text(
        'schema = 1\nid = "child"\nversion = "1.0.0"\nextends = "sdm120"\nwithout = ["power", "voltage"]\n',
        encoding="utf-8",
    )
    child = device_profiles.load_file(file)
    assert child.readings["current"].simulate.quotient_of == ()
    assert child.readings["energy"].simulate.integral_of is None
    assert 0 < float(one(child, "current")) < 4


def child(folder: Path, parent: str, more: str) -> dict[str, float]:
    """What a child of a shipped profile reads."""
    file = folder / "child.toml"
    head = f'schema = 1\nid = "child"\nversion = "1.0.0"\nextends = "{parent}"\n'
    file.write_text(head + more, encoding="utf-8")
    profile = device_profiles.load_file(file)
    return {channel: float(one(profile, channel)) for channel in profile.channels() if channel != "relay"}


KILOWATTS = """[readings.power]
unit = "kW"
range = [-100, 100]
simulate = { mean = 1, swing = 0.5, noise = 0, resolution = 0.0001 }
"""


def test_relations_hold_between_multiples_of_a_unit(tmp_path: Path) -> None:
    phases, before = child(tmp_path, "sdm630", KILOWATTS), child(tmp_path, "sdm630", "")
    assert phases["power"] == pytest.approx(before["power"] / 1000, abs=1e-4)
    assert phases["energy"] == pytest.approx(before["energy"])
    milliamperes = "[readings.current]\nunit = 'mA'\nrange = [0, 1e5]\n"
    meter = child(tmp_path, "sdm120", KILOWATTS + milliamperes)
    amperes = meter["power"] * 1000 / meter["voltage"] / meter["power-factor"]
    assert meter["current"] == pytest.approx(amperes * 1000, rel=1e-4)
    mixed = parse_profile(
        readings(
            a=f'{NUMBER}\nunit = "W"\nrange = [1000, 2000]',
            b=f'{NUMBER}\nunit = "kW"\nrange = [3, 4]',
            all=f'{NUMBER}\nunit = "kW"\nsimulate.sum_of = ["a", "b"]',
            more=f'{NUMBER}\nunit = "W"\nsimulate = {{ above = "b", mean = 5, noise = 0, swing = 0 }}',
            energy=f'{NUMBER}\nunit = "Wh"\nsimulate.integral_of = "all"',
            first=f'{NUMBER}\nunit = "Wh"\nsimulate.integral_of = "a"',
            second=f'{NUMBER}\nunit = "Wh"\nsimulate.integral_of = "b"',
        ),
        "x.toml",
    )
    value = {channel: float(one(mixed, channel)) for channel in mixed.channels()}
    assert value["all"] == pytest.approx(value["a"] / 1000 + value["b"], abs=0.02)
    assert value["more"] == pytest.approx(value["b"] * 1000 + 5)
    assert value["energy"] == pytest.approx(value["first"] + value["second"])


def test_an_empty_relation_takes_the_parents_away(tmp_path: Path) -> None:
    own = {"simulate.wave": "'steady'", "simulate.noise": "0", "simulate.mean": "7"}
    own_signal = "".join(f"{key} = {value}\n" for key, value in own.items())
    for parent, channel, key, empty in (
        ("sdm120", "current", "quotient_of", "[]"),
        ("sdm120", "energy", "integral_of", '""'),
        ("sdm630", "power", "sum_of", "[]"),
        ("pms5003", "pm10", "above", '""'),
    ):
        found = child(tmp_path, parent, f"[readings.{channel}]\n{own_signal}simulate.{key} = {empty}\n")
        assert found[channel] == 7


def readings(**tables: str) -> str:
    return HEAD + "".join(f"[readings.{name}]\n{table}\n" for name, table in tables.items())


NUMBER = 'type = "float"'
CHAIN = {f"r{n}": f'{NUMBER}\nsimulate.sum_of = ["r{n + 1}"]' for n in range(8)} | {"r8": NUMBER}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            readings(power=NUMBER, b=f'{NUMBER}\nsimulate.sum_of = ["powr"]'),
            r"x\.toml: readings\.b\.simulate\.sum_of: no reading 'powr': did you mean power\?",
        ),
        (
            readings(
                a=f'{NUMBER}\nsimulate.above = "b"',
                b=f'{NUMBER}\nsimulate.sum_of = ["c"]',
                c=f'{NUMBER}\nsimulate.above = "a"',
            ),
            r"readings\.a\.simulate: a cycle: a -> b -> c -> a; take one name away",
        ),
        (readings(a=f'{NUMBER}\nsimulate.above = "a"'), "a cycle: a -> a"),
        (readings(**CHAIN), "more than 8 levels"),
        (readings(**dict(reversed(CHAIN.items()))), "more than 8 levels"),
        (readings(a='type = "bool"', b=f'{NUMBER}\nsimulate.above = "a"'), "a is no number"),
        (readings(a=NUMBER, b='type = "str"\nsimulate.above = "a"'), "b is no number"),
        (
            readings(a=NUMBER, b=f'{NUMBER}\nsimulate = {{ above = "a", sum_of = ["a"] }}'),
            "sum_of and above: keep one of them",
        ),
        (readings(a=NUMBER, b=f'{NUMBER}\nsimulate.sum_of = ["a", "a"]'), "named twice"),
        (readings(a=NUMBER, b=f'{NUMBER}\nsimulate.quotient_of = ["a"]'), "name two readings at least"),
        (
            readings(a=f"{NUMBER}\ncount = 3", b=f'{NUMBER}\nsimulate.above = "a"'),
            "a has count = 3; give b the same",
        ),
        (
            readings(a=f'{NUMBER}\nunit = "W"', b=f'{NUMBER}\nunit = "kVA"\nsimulate.sum_of = ["a"]'),
            "a is in W, this in kVA; give both the same, or multiples of one unit",
        ),
        (
            readings(a=f'{NUMBER}\nunit = "dBm"', b=f'{NUMBER}\nunit = "dBW"\nsimulate.above = "a"'),
            "a is in dBm, this in dBW; give both the same",
        ),
        (
            readings(a=f'{NUMBER}\nunit = "W"', b=f'{NUMBER}\nunit = "m"\nsimulate.integral_of = "a"'),
            "a in W does not add up to m; use J or Wh or kWh",
        ),
        (
            readings(a=NUMBER, b=f'{NUMBER}\nunit = "kWh"\nsimulate.integral_of = "a"'),
            "a in no unit does not add up to kWh; name one in W, VA",
        ),
        (
            readings(
                a=f'{NUMBER}\nunit = "W"\nsimulate.wave = "flip"',
                b=f'{NUMBER}\nunit = "kWh"\nsimulate.integral_of = "a"',
            ),
            "a must be a steady, daily or walk signal",
        ),
    ],
)
def test_what_cannot_follow_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse_profile(text, "x.toml")


# Numbers that no simulation can reckon with.


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            f"{NUMBER}\nrange = [-1e308, 1e308]",
            r"readings\.a\.range\[0\]: Input should be from -1e\+100",
        ),
        (f"{NUMBER}\nsimulate = {{ swing = 1e308, mean = 1e308 }}", r"simulate\.mean: .* 1e\+100"),
        (f"{NUMBER}\nsimulate = {{ noise = 1e308 }}", r"simulate\.noise: .* 1e\+100"),
        (f'{NUMBER}\nsimulate = {{ wave = "walk", period = 1e-300 }}', r"simulate\.period: .* 0\.001"),
        (f'{NUMBER}\nsimulate = {{ wave = "counter", period = 1e-310 }}', r"simulate\.period: .* 0\.001"),
        ('type = "bool"\nsimulate = { wave = "flip", period = 5e-324 }', r"simulate\.period: .* 0\.001"),
        (f"{NUMBER}\nsimulate = {{ period = 1e308 }}", r"simulate\.period: .* 10000000000"),
    ],
)
def test_a_signal_that_cannot_be_reckoned_is_refused(tmp_path: Path, table: str, fault: str) -> None:
    file = tmp_path / "far.toml"
    file.write_text(readings(a=table), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"far\.toml: .*{fault}"):
        device_profiles.load_file(file)


@pytest.mark.parametrize("kind", ["float", "int"])
@pytest.mark.parametrize("wave", ["steady", "daily", "walk", "flip", "counter"])
@pytest.mark.parametrize(
    "extreme",
    [
        "mean = 1e100, swing = 1e100, noise = 1e100",
        "mean = -1e100, swing = 1e100, period = 0.001",
        "mean = 1e100, resolution = 5e-324",
        "mean = 1, resolution = 1.7e308, period = 1e10",
    ],
)
def test_the_furthest_signals_are_printed(tmp_path: Path, kind: str, wave: str, extreme: str) -> None:
    file = tmp_path / "far.toml"
    table = f'type = "{kind}"\nrange = [-1e100, 1e100]\nsimulate = {{ wave = "{wave}", {extreme} }}'
    file.write_text(readings(a=table), encoding="utf-8")
    told = CliRunner().invoke(
        app, ["simulate", "--profile", str(file), "--print", "--seconds", "90", "--every", "30"]
    )
    assert (told.exit_code, told.exception) == (0, None)
    assert len(told.stdout.splitlines()) == 4
