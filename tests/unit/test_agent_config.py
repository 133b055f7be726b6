from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

import device_profiles
from iotxmpp import Agent
from iotxmpp.agent.config import load_agent
from iotxmpp.agent.opening import OpenedDriver
from iotxmpp.agent.profiled import equip
from iotxmpp.agent.sensors import Rhythm
from iotxmpp.commands import command_error
from iotxmpp.errors import ArgumentsError, CommandFailedError, ConfigError, StanzaError
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.agent_house import House, until

ACCOUNT = """
jid = "greenhouse@example.org"
password = "secret"
controllers = ["house@example.org"]
"""

PROFILE = """
schema = 1
id = "fan"
version = "1.2.0"
driver = { kind = "simulated" }
[readings.speed]
type = "int"
every = 0.02
simulate = { wave = "steady", mean = 5 }
[readings.blocked]
type = "bool"
every = 0.02
on_change = true
simulate = { wave = "steady", value = false }
[commands.spin]
args.speed = { type = "int", range = [0, 9] }
simulate = { set = "speed", to = "speed" }
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    account = tmp_path / "greenhouse.toml"
    account.write_text(ACCOUNT)
    account.chmod(0o600)
    (tmp_path / "fan.toml").write_text(PROFILE)
    return tmp_path


def write(directory: Path, text: str) -> Path:
    path = directory / "agent.toml"
    path.write_text(text)
    return path


async def test_an_agent_without_code_reads_and_obeys(house: House, directory: Path) -> None:
    text = 'account = "greenhouse.toml"\nprofile = "fan.toml"\nheartbeat = 20\nsite = "roof"\n'
    async with load_agent(write(directory, text)):
        await until(lambda: bool(house.values("speed")) and bool(house.values("blocked")))
        about = house.abouts[0]
        assert (about.profile, about.heartbeat, about.site) == ("fan 1.2.0", 20, "roof")
        assert set(about.channels) == {"speed", "blocked"}
        assert about.commands["spin"].arguments["properties"]["speed"]["maximum"] == 9
        await house.call("spin", {"speed": 8})
        await until(lambda: house.values("speed")[-1] == 8)
        with pytest.raises(StanzaError) as caught:
            await house.call("spin", {"speed": 10})
        assert isinstance(command_error(caught.value), ArgumentsError)
    assert house.values("blocked") == [False]


async def test_a_shipped_profile_is_found_by_its_name(house: House, directory: Path) -> None:
    path = write(
        directory,
        'account = "greenhouse.toml"\nprofile = "bme280"\ndriver = { kind = "simulated", seed = 5 }\n',
    )
    async with load_agent(path):
        await until(lambda: len(house.readings) >= 3)
    assert {reading.channel for reading in house.readings} == {"temperature", "humidity", "pressure"}
    assert {reading.unit for reading in house.readings} == {"Cel", "%RH", "hPa"}
    assert len({reading.time for reading in house.readings}) == 1


@pytest.mark.parametrize("name", device_profiles.names())
def test_every_shipped_profile_makes_an_agent(directory: Path, name: str) -> None:
    text = f'account = "greenhouse.toml"\nprofile = "{name}"\ndriver.kind = "simulated"\n'
    profile = device_profiles.load(name)
    about = load_agent(write(directory, text)).about
    assert about.channels == profile.channels()
    assert about.commands == profile.command_about()


async def test_channels_get_other_names_and_another_interval(house: House, directory: Path) -> None:
    text = (
        'account = "greenhouse.toml"\nprofile = "bme280"\nevery = 0.02\ndriver.kind = "simulated"\n'
        'device = "greenhouse"\nrename.temperature = "air/temperature"\n'
    )
    agent = load_agent(write(directory, text))
    async with agent:
        await until(lambda: len(house.values("air/temperature")) >= 2)
        await until(lambda: len(house.values("pressure")) >= 2)
    assert set(house.abouts[0].channels) == {"air/temperature", "humidity", "pressure"}
    assert house.values("temperature") == []


@pytest.mark.parametrize(
    ("in_profile", "in_file", "at_least"),
    [
        ("", "", 60),
        ("at_least = 5\n", "", 5),
        ("", "at_least = 7\n", 7),
        ("at_least = 5\n", "at_least = 7\n", 7),
    ],
)
def test_an_unchanged_value_comes_again_when_the_file_or_the_profile_or_nobody_says(
    directory: Path, in_profile: str, in_file: str, at_least: float
) -> None:
    (directory / "fan.toml").write_text(
        PROFILE.replace("on_change = true\n", f"on_change = true\n{in_profile}")
    )
    agent = load_agent(
        write(directory, f'account = "greenhouse.toml"\nprofile = "fan.toml"\nevery = 2\n{in_file}')
    )
    (sensor,) = agent._plan().sensors
    rhythm = Rhythm(every=2, on_change=True, at_least=at_least)
    assert sensor.rhythms["blocked"] == rhythm


async def test_a_controller_that_comes_later_sees_what_has_not_changed(house: House, directory: Path) -> None:
    text = 'account = "greenhouse.toml"\nprofile = "fan.toml"\nevery = 0.02\nat_least = 0.1\n'
    async with load_agent(write(directory, text)):
        await until(lambda: bool(house.values("blocked")))
        house.readings.clear()
        await until(lambda: bool(house.values("blocked")))
    assert set(house.values("blocked")) == {False}


@pytest.mark.parametrize("name", device_profiles.names())
def test_a_change_is_seen_and_an_unchanged_value_comes_again_within_a_minute(
    directory: Path, name: str
) -> None:
    text = f'account = "greenhouse.toml"\nprofile = "{name}"\ndriver.kind = "simulated"\n'
    (sensor,) = load_agent(write(directory, text))._plan().sensors
    followed = [rhythm for rhythm in sensor.rhythms.values() if rhythm.on_change]
    assert all(rhythm.every <= 10 and rhythm.at_least <= 60 for rhythm in followed)
    kinds = device_profiles.load(name).readings.values()
    assert bool(followed) == any(kind.type == "bool" or kind.on_change for kind in kinds)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("account = ", "not TOML"),
        ("", "account: missing; profile: missing"),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\nheartbeat = 0', "heartbeat: Input should be"),
        (
            'account = "greenhouse.toml"\nprofile = "fan.toml"\ncolour = 1',
            "unknown key colour; known: account, profile",
        ),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\nat_least = 0', "at_least: Input should be"),
        (
            'account = "greenhouse.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\nat_least = 5',
            "at_least: profile bme280 has no channel with on_change = true",
        ),
        ('account = "none.toml"\nprofile = "fan.toml"', "none.toml"),
        ('account = "greenhouse.toml"\nprofile = "none.toml"', "none.toml"),
        ('account = "greenhouse.toml"\nprofile = "bme281"', "did you mean bme280"),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\ndevice = "No Slug"', "device id 'No Slug'"),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\ndriver.kind = "warp"', "driver 'warp'"),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\ndriver.colour = 1', "colour"),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\nrename.wind = "w"', "rename.wind: profile fan"),
        ('account = "greenhouse.toml"\nprofile = "fan.toml"\nrename.speed = "a b"', "name 'a b'"),
        (
            'account = "greenhouse.toml"\nprofile = "fan.toml"\nrename.speed = "blocked"',
            "rename.speed: two channels have one name: speed and blocked",
        ),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_key(directory: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_agent(write(directory, text))
    assert fault in str(caught.value)
    assert str(directory) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent file .*nowhere\.toml"):
        load_agent(directory / "nowhere.toml")


# The driver.


class Hardware:
    """A driver whose hardware can be pulled out."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.there = False

    async def __aenter__(self) -> Self:
        if not self.there:
            raise FileNotFoundError(2, "no such device")
        self.opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    async def read(self) -> Mapping[str, Value]:
        if not self.there:
            raise OSError(5, "pulled out")
        return {"speed": 1, "blocked": False}

    async def command(self, name: str, arguments: Mapping[str, Value]) -> str:
        return f"{name} {dict(arguments)}"


async def test_hardware_is_a_problem_while_it_is_not_there_and_opened_again(house: House) -> None:
    hardware = Hardware()
    agent = house.agent()
    equip(agent, parse_profile(PROFILE, "fan"), lambda: hardware)
    async with agent:
        await until(lambda: bool(_problems(agent)))
        assert _problems(agent) == ("fan: FileNotFoundError: [Errno 2] no such device",)
        with pytest.raises(CommandFailedError, match="no such device"):
            await house.call("spin", {"speed": 1})
        hardware.there = True
        await until(lambda: bool(house.values("speed")))
        assert not _problems(agent)
        assert await house.call("spin", {"speed": 1}) == "spin {'speed': 1}"
        hardware.there = False
        await until(lambda: bool(_problems(agent)))
        hardware.there = True
        await until(lambda: not _problems(agent))
        assert hardware.opened == 2
    assert hardware.closed == 2


def _problems(agent: Agent) -> tuple[str, ...]:
    return agent.status.problems


async def test_a_driver_is_opened_once_for_many(house: House) -> None:
    hardware = Hardware()
    hardware.there = True
    async with OpenedDriver(lambda: hardware) as driver:
        await driver.read()
        await driver.command("spin", {})
        await driver.read()
    assert (hardware.opened, hardware.closed) == (1, 1)


async def test_a_failure_that_is_not_the_hardwares_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = Hardware()
    hardware.there = True

    async def wrong() -> Mapping[str, Value]:
        raise ValueError("half a message")

    async with OpenedDriver(lambda: hardware) as driver:
        monkeypatch.setattr(hardware, "read", wrong)
        with pytest.raises(ValueError, match="half a message"):
            await driver.read()
        assert (hardware.opened, hardware.closed) == (1, 0)
