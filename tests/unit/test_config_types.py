"""A value of a wrong type is refused, not converted: "30" and true are no numbers, "yes" is not true."""

import tomllib
from pathlib import Path

import pytest

import device_profiles
from iotxmpp.agent.config import read_agent_file
from iotxmpp.agent.drivers import create_driver
from iotxmpp.cli import main
from iotxmpp.cli.schemas import agent_schema
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import parse_profile
from tests.unit.test_profile_schema import against

PROFILE = """schema = 1
id = "x"
version = "1.0.0"
driver = { kind = "simulated" }
[readings.t]
type = "float"
"""
COMMAND = "[commands.c]\nargs.a = { type = 'float' }\n"
AGENT = 'account = "a.toml"\nprofile = "bme280"\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("count = true", "readings.t.count: Input should be a valid integer"),
        ('count = "3"', "readings.t.count: Input should be a valid integer"),
        ('every = "3"', "readings.t.every: Input should be a valid number"),
        ("every = true", "readings.t.every: Input should be a valid number"),
        ("range = [false, true]", "readings.t.range[0]: Input should be a valid number"),
        ('range = ["1", "3"]', "readings.t.range[0]: Input should be a valid number"),
        ('on_change = "yes"', "readings.t.on_change: Input should be a valid boolean"),
        ("counter = 1", "readings.t.counter: Input should be a valid boolean"),
        ("simulate.value = 1", "readings.t.simulate.value: Input should be true or false or text"),
        ("simulate.share = true", "readings.t.simulate.share: Input should be a valid number"),
        (COMMAND + 'timeout = "5"', "commands.c.timeout: Input should be a valid number"),
        (COMMAND + "steps = [[1]]", "commands.c.steps[0][0]: Input should be a valid string"),
        (COMMAND + "idempotent = 0", "commands.c.idempotent: Input should be a valid boolean"),
    ],
)
def test_a_profiles_types_are_meant(line: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(f"{PROFILE}{line}\n", "x.toml")
    assert words in str(caught.value)


def test_a_whole_number_is_a_number() -> None:
    made = parse_profile(f"{PROFILE}every = 3\nrange = [0, 1]\n{COMMAND}timeout = 5\nsteps = [['a']]\n", "x")
    assert made.readings["t"].every == 3
    assert made.readings["t"].range == (0.0, 1.0)
    assert made.commands["c"].steps == (("a",),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('heartbeat = "30"', "heartbeat: Input should be a valid number"),
        ("heartbeat = true", "heartbeat: Input should be a valid number"),
        ("heartbeat = 1e-9", "heartbeat: Input should be from 0.1 to"),
        ('every = "3"', "every: Input should be a valid number"),
        ("tags = [1]", "tags[0]: Input should be a valid string"),
        ('calibration.temperature.offset = "1"', "calibration.temperature.offset: Input should be a valid"),
        ("calibration.temperature.scale = true", "calibration.temperature.scale: Input should be a valid"),
        ('outbox = { bytes = "9000" }', "outbox.bytes: Input should be a valid integer"),
        ("outbox = { age = true }", "outbox.age: Input should be a valid number"),
        ("outbox = { path = 3 }", 'agent.toml: outbox.path: Input should be a path or "memory"'),
        ("outbox = { path = [] }", 'agent.toml: outbox.path: Input should be a path or "memory"'),
    ],
)
def test_an_agents_types_are_meant_and_its_schema_agrees(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(AGENT + line)
    with pytest.raises(ConfigError) as caught:
        read_agent_file(file)
    assert words in str(caught.value)
    assert ";" not in str(caught.value)
    assert against(tomllib.loads(AGENT + line), agent_schema())


def test_what_is_right_stays_right(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        f'{AGENT}heartbeat = 30\ntags = ["a"]\noutbox = {{ path = "x.db", age = 60 }}\n'
        "[calibration.temperature]\noffset = 1\n"
    )
    read = read_agent_file(file)
    assert read.heartbeat == 30
    assert read.tags == ("a",)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (
            "relay4",
            "pins = [true, 2, 3, 4]",
            "driver gpio: driver.pins[0]: Input should be a valid integer",
        ),
        ("relay4", 'pins = ["1", 2, 3, 4]', "driver gpio: driver.pins[0]: Input should be a valid integer"),
        ("bme280", "oversampling = true", "driver i2c: driver.oversampling: Input should be a number"),
        ("bme280", 'simulated = "yes"', "driver i2c: driver.simulated: Input should be a valid boolean"),
        ("bme280", "address = true", "driver i2c: driver.address: Input should be"),
        (
            "sdm120",
            'port = "x"\nbaud = "9600"',
            "driver modbus: driver.baud: Input should be a valid integer",
        ),
        ("sdm120", 'port = "x"\ntimeout = true', "driver modbus: driver.timeout: Input should be a valid"),
    ],
)
def test_a_drivers_types_are_meant(name: str, settings: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_driver(device_profiles.load(name), tomllib.loads(settings))
    assert words in str(caught.value)


def test_a_sources_types_are_meant() -> None:
    text = PROFILE.replace('"simulated"', '"gpio"')
    made = parse_profile(f'{text}source = {{ device = "PWMLED", pin = true }}\n', "x.toml")
    with pytest.raises(ConfigError, match=r"readings\.t\.source\.pin: Input should be"):
        create_driver(made, {"simulated": True})


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("relay4", "pins = [5, 6, 13, 19]"),
        ("bme280", "oversampling = 2\nseed = 5"),
        ("sdm120", 'port = "x"\ntimeout = 1\nunit = 3'),
        ("ds18b20", 'id = "28-0316a2794ff3"\nroot = "/x"'),
    ],
)
def test_a_drivers_good_settings_stay_good(name: str, settings: str) -> None:
    create_driver(device_profiles.load(name), tomllib.loads(settings))


@pytest.mark.parametrize("kind", ["5", "true", "[]", '["gpio"]', "{ a = 1 }", "1.5"])
def test_a_drivers_kind_is_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f"{AGENT}[driver]\nkind = {kind}\n")
    for words, code in ((("agent", "run"), 2), (("agent", "install", "--print"), 2), (("doctor",), 1)):
        monkeypatch.setattr("sys.argv", ["iotxmpp", *words, str(file)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert "driver.kind: Input should be a valid string" in " ".join(f"{told.out}{told.err}".split())
        assert ended.value.code == code
