import asyncio
import itertools
import logging
import threading
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import device_profiles
from iotxmpp.agent import drivers
from iotxmpp.agent.drivers import create_driver, driver_kinds, host, signals
from iotxmpp.agent.drivers.host import HostDriver, HostSettings
from iotxmpp.agent.drivers.simulated import SimulatedDriver
from iotxmpp.errors import ArgumentsError, ConfigError, UnknownCommandError
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import check_value

NOON = 1_763_640_000.0
TYPES: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str}


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def simulated(name: str, clock: Clock, **settings: object) -> SimulatedDriver:
    return SimulatedDriver(profile=device_profiles.load(name), settings=settings, clock=clock)


@pytest.mark.parametrize("name", device_profiles.names())
@pytest.mark.parametrize("after", [0.0, 1.5, 3600.0, 86_400.0 * 30])
async def test_every_profile_can_be_simulated(name: str, after: float) -> None:
    profile = device_profiles.load(name)
    async with simulated(name, Clock(NOON + after)) as driver:
        values = await driver.read()
    assert values.keys() == profile.channels().keys()
    for channel, kind in profile.reading_kinds().items():
        value = check_value(values[channel], channel)
        assert type(value) is TYPES[kind.type]
        if kind.range is not None:
            assert isinstance(value, float | int)
            assert kind.range[0] <= value <= kind.range[1]


async def test_a_simulation_depends_on_its_seed_and_the_time_alone() -> None:
    clock = Clock()
    first = await simulated("bme280", clock, seed="a").read()
    assert await simulated("bme280", clock, seed="a").read() == first
    assert await simulated("bme280", clock, seed="b").read() != first
    clock.now += 600
    assert await simulated("bme280", clock, seed="a").read() != first


async def test_a_relay_stays_as_it_was_switched() -> None:
    clock = Clock()
    driver = simulated("relay4", clock)
    assert await driver.read() == {f"relay/{n}": False for n in range(1, 5)}
    assert await driver.command("switch", {"channel": 2, "on": True}) == {"relay/2": True}
    clock.now += 1e6
    assert await driver.read() == {"relay/1": False, "relay/2": True, "relay/3": False, "relay/4": False}
    await driver.command("switch", {"channel": 2, "on": False})
    assert not any((await driver.read()).values())


async def test_a_relay_goes_back_after_its_time() -> None:
    clock = Clock()
    driver = simulated("relay4", clock)
    await driver.command("switch", {"channel": 1, "on": True, "for": 5.0})
    clock.now += 4.9
    assert (await driver.read())["relay/1"] is True
    clock.now += 0.1
    assert (await driver.read())["relay/1"] is False
    await driver.command("switch", {"channel": 1, "on": True, "for": 5.0})
    await driver.command("switch", {"channel": 1, "on": False})
    assert (await driver.read())["relay/1"] is False


async def test_other_commands_take_effect_too() -> None:
    clock = Clock()
    driver = simulated("soil-moisture", clock)
    assert await driver.command("water", {}) == {"valve": True}
    assert (await driver.read())["valve"] is True
    clock.now += 10
    assert (await driver.read())["valve"] is False
    assert await simulated("bme280", clock).command("reset", {}) == {"simulated": True}


async def test_an_effect_is_simulated_and_a_simulation_goes_before_it() -> None:
    text = (
        'schema=1\nid="x"\nversion="1.0.0"\ndriver={kind="simulated"}\n'
        '[readings.a]\ntype="bool"\ncount=2\n[commands.go]\n'
        'effect={set="a/{n}", value=true}\nargs.n={type="int"}\n'
    )
    driver = SimulatedDriver(profile=parse_profile(text, "x.toml"), settings={}, clock=Clock())
    assert await driver.command("go", {"n": 2}) == {"a/2": True}
    text += 'simulate={set="a/1", value=false}\n'
    driver = SimulatedDriver(profile=parse_profile(text, "x.toml"), settings={}, clock=Clock())
    assert await driver.command("go", {"n": 2}) == {"a/1": False}


async def test_what_counts_is_simulated_as_a_count() -> None:
    text = (
        'schema=1\nid="x"\nversion="1.0.0"\ndriver={kind="simulated"}\n'
        '[readings.rain]\ntype="int"\ncounter=true\n'
    )
    clock = Clock()
    driver = SimulatedDriver(profile=parse_profile(text, "x.toml"), settings={}, clock=clock)
    counts = list[int]()
    for _ in range(50):
        value = (await driver.read())["rain"]
        assert isinstance(value, int)
        counts.append(value)
        clock.now += 600
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


async def test_a_simulated_command_is_checked() -> None:
    driver = simulated("relay4", Clock())
    with pytest.raises(ArgumentsError, match="switch: channel: 5 is not in 1 to 4"):
        await driver.command("switch", {"channel": 5, "on": True})
    with pytest.raises(UnknownCommandError, match="relay4 has switch"):
        await driver.command("swich", {})


async def test_channels_without_hints_have_fitting_values() -> None:
    text = 'schema=1\nid="x"\nversion="1.0.0"\ndriver={kind="simulated"}\n'
    for name, kind in (("i", "int"), ("f", "float"), ("b", "bool"), ("s", "str")):
        text += f'[readings.{name}]\ntype="{kind}"\n'
    driver = create_driver(parse_profile(text, "x.toml"), {})
    values = await driver.read()
    assert [type(values[name]) for name in "ifbs"] == [int, float, bool, str]


@given(st.text(max_size=5), st.floats(0, 4e9), st.floats(0.1, 1e5), st.floats(-100, 100), st.floats(0, 50))
def test_signals_stay_in_their_bounds(
    name: str, time: float, period: float, mean: float, swing: float
) -> None:
    assert 0 <= signals.chance(name, int(time)) < 1
    assert abs(signals.noise(name, time, swing)) <= swing
    for value in (signals.daily(time, mean, swing), signals.walk(name, time, mean, swing, period)):
        assert mean - swing - 1e-9 <= value <= mean + swing + 1e-9


@given(st.floats(0, 4e9), st.floats(0, 1e6), st.floats(0.001, 100), st.floats(60, 86_400))
def test_a_counter_never_falls(time: float, later: float, an_hour: float, period: float) -> None:
    assert signals.counter(time + later, an_hour, period) >= signals.counter(time, an_hour, period) - 1e-6


def test_signals_look_alive() -> None:
    assert signals.daily(15 * 3600, 20, 4) == 24
    assert signals.daily(3 * 3600, 20, 4) == pytest.approx(16)
    walked = [signals.walk("a", NOON + n * 10, 0, 1, 100) for n in range(1000)]
    assert max(walked) - min(walked) > 1
    assert max(abs(b - a) for a, b in itertools.pairwise(walked)) < 0.35  # no jumps
    flips = [signals.flip("a", NOON + n * 10, 10, 0.3) for n in range(1000)]
    assert 200 < sum(flips) < 400


async def test_this_machine_is_really_read() -> None:
    async with create_driver(device_profiles.load("host"), {}) as driver:
        values = await driver.read()
        facts = await driver.command("facts", {})
    assert {"load", "memory-used", "disk-used"} <= values.keys()
    assert isinstance(values["memory-used"], float)
    assert 0 < values["memory-used"] < 100
    assert isinstance(facts, dict)
    assert facts["system"] == "Linux"


async def test_a_simulated_machine_is_the_profile_s(machine: dict[str, object]) -> None:
    profile = device_profiles.load("host")
    driver = create_driver(profile, {**machine, "simulated": True, "seed": 7})
    async with driver:
        values = await driver.read()
        assert values.keys() == profile.channels().keys()
        assert values["memory-used"] != 25.0
        assert isinstance(await driver.command("facts", {}), dict)


def test_the_simulated_driver_takes_the_word_that_all_take() -> None:
    profile = device_profiles.load("bme280")
    create_driver(profile, {"simulated": True}, kind="simulated")
    with pytest.raises(ConfigError, match=r"driver simulated: driver\.simulated"):
        create_driver(profile, {"simulated": False}, kind="simulated")


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, object]:
    """Settings of a machine with a processor at 47.8 °C and 25 % of its memory in use."""
    (tmp_path / "meminfo").write_text("MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:   6000 kB\n")
    for number, (kind, temperature) in enumerate(
        [
            ("iwlwifi_1", "99000"),
            ("cpu-thermal", "47800"),
            ("x86_pkg_temp", "45000"),
            ("cpu-broken", "-274000"),
        ]
    ):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{temperature}\n")
    (tmp_path / "thermal_zone9").mkdir()
    return {"proc": tmp_path, "thermal": tmp_path, "disk": tmp_path}


async def test_a_machine_s_figures_are_read_right(machine: dict[str, object]) -> None:
    values = await HostDriver(profile=device_profiles.load("host"), settings=machine).read()
    assert values["memory-used"] == 25.0
    assert values["cpu-temperature"] == 47.8


async def test_what_a_machine_lacks_is_left_out_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: lots\n")
    monkeypatch.setattr("shutil.disk_usage", lambda path: (_ for _ in ()).throw(OSError(5, "no size")))
    settings = {"proc": tmp_path, "thermal": tmp_path / "none"}
    driver = HostDriver(profile=device_profiles.load("host"), settings=settings)
    with caplog.at_level(logging.INFO):
        assert (await driver.read()).keys() == {"load"}
        assert (await driver.read()).keys() == {"load"}
    said = [record.getMessage().split(":")[0] for record in caplog.records if record.name == host.__name__]
    assert said == [
        "This machine has no memory-used",
        "This machine has no disk-used",
        "This machine has no cpu-temperature",
    ]


async def test_reading_the_machine_never_holds_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(_settings: HostSettings) -> float:
        assert release.wait(5)
        return 1.0

    source = host._Source(unit=None, read=slow)
    monkeypatch.setitem(host._SOURCES, "load", source)
    reading = asyncio.create_task(HostDriver(profile=device_profiles.load("host"), settings={}).read())
    await asyncio.sleep(0)
    release.set()  # reached only while the loop goes on
    assert (await reading)["load"] == 1.0


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ("[readings.fan]\ntype='float'", "driver host: no reading 'fan'; there is load, memory-used"),
        ("[readings.cpu-temperature]\ntype='float'\nunit='K'", "cpu-temperature is a float in Cel"),
        ("[readings.load]\ntype='int'", "load is a float in no unit"),
        ("[commands.reboot]", "driver host: no command 'reboot'; there is facts"),
    ],
)
def test_a_profile_that_the_host_cannot_serve_is_refused(readings: str, words: str) -> None:
    text = f'schema=1\nid="x"\nversion="1.0.0"\ndriver={{kind="host"}}\n{readings}\n'
    with pytest.raises(ConfigError, match=words):
        create_driver(parse_profile(text, "x.toml"), {})


async def test_the_host_refuses_other_commands_and_arguments() -> None:
    driver = create_driver(device_profiles.load("host"), {})
    with pytest.raises(UnknownCommandError, match="host has facts"):
        await driver.command("reboot", {})
    with pytest.raises(ArgumentsError, match="unknown argument 'now'"):
        await driver.command("facts", {"now": True})


def test_drivers_are_found_by_their_entry_points() -> None:
    assert {"host", "simulated"} <= set(driver_kinds())
    assert isinstance(create_driver(device_profiles.load("host"), {}), HostDriver)
    assert isinstance(create_driver(device_profiles.load("energy-meter"), {}), SimulatedDriver)
    assert isinstance(create_driver(device_profiles.load("host"), {}, kind="simulated"), SimulatedDriver)


def test_the_device_s_settings_go_before_the_profile_s() -> None:
    text = 'schema=1\nid="x"\nversion="1.0.0"\ndriver={kind="simulated", seed="profile"}\n'
    profile = parse_profile(text, "x.toml")
    first = create_driver(profile, {})
    second = create_driver(profile, {"seed": "device"})
    assert isinstance(first, SimulatedDriver)
    assert isinstance(second, SimulatedDriver)
    assert (first._seed, second._seed) == ("profile", "device")


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="simulated: unknown key sead in driver: did you mean seed"):
        create_driver(device_profiles.load("relay4"), {"sead": 1}, kind="simulated")
    with pytest.raises(ConfigError, match="driver host: unknown key disc in driver: did you mean disk"):
        create_driver(device_profiles.load("host"), {"disc": "/"})


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"driver 'telepathy': not installed; installed are .*host.*simulated"
    ):
        create_driver(device_profiles.load("host"), {}, kind="telepathy")
    with pytest.raises(ConfigError, match=r"^driver 'gpoi': not installed: did you mean gpio\?$"):
        create_driver(device_profiles.load("host"), {}, kind="gpoi")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            ["no.such.module:Driver"],
            "driver 'odd': no.such.module:Driver cannot be loaded: ModuleNotFound",
        ),
        (["iotxmpp.agent.drivers.host:Nothing"], "driver 'odd': .* cannot be loaded: .*Nothing"),
        (["a:A", "b:B"], "driver 'odd': installed more than once, as a:A, b:B"),
    ],
)
def test_a_broken_or_ambiguous_driver_is_named(
    values: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = EntryPoints(EntryPoint(name="odd", value=value, group=drivers.GROUP) for value in values)
    monkeypatch.setattr("importlib.metadata.entry_points", points.select)
    with pytest.raises(ConfigError, match=words):
        create_driver(device_profiles.load("host"), {}, kind="odd")
