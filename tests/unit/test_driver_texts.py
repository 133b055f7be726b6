"""Ports, hosts and paths in a driver's settings: text, and without control characters."""

from pathlib import Path

import pytest

import device_profiles
from iotxmpp.agent.config import check_agent
from iotxmpp.agent.drivers import create_driver
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import parse_profile
from iotxmpp.tables import TableError


@pytest.mark.parametrize(
    ("name", "key"),
    [("sdm120", "port"), ("sdm120", "host"), ("weather-station", "port")],
)
@pytest.mark.parametrize("value", [3, 3.5, True])
def test_a_number_is_no_port_and_no_host(name: str, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"driver\.{key}: Input should be a valid string"):
        create_driver(device_profiles.load(name), {key: value})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sdm120", "port"),
        ("sdm120", "host"),
        ("weather-station", "port"),
        ("ds18b20", "root"),
        ("host", "disk"),
        ("host", "proc"),
        ("host", "thermal"),
    ],
)
@pytest.mark.parametrize("character", ["\\u0000", "\\n", "\\u001b", "\\u007f"])
def test_a_control_character_is_told_by_file_and_key(
    tmp_path: Path, name: str, key: str, character: str
) -> None:
    (tmp_path / "a.toml").write_text('jid = "hall@example.org"\npassword = "x"\n')
    config = tmp_path / "agent.toml"
    config.write_text(f'account = "a.toml"\nprofile = "{name}"\ndriver = {{ {key} = "/x{character}y" }}\n')
    (fault,) = check_agent(config)
    assert fault.startswith(f"agent file {config}: driver ")
    assert f"driver.{key}: a control character; give it without one" in fault


def test_a_control_character_in_the_file_of_functions_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"driver\.file: a control character"):
        create_driver(device_profiles.load("host"), {"file": "a\0b.py"}, kind="python", folder=tmp_path)


def test_a_control_character_in_the_firmwares_folder_is_told() -> None:
    flash = {"tool": "avrdude", "folder": "a\0b"}
    with pytest.raises(ConfigError, match=r"driver\.flash\.folder: a control character"):
        create_driver(device_profiles.load("weather-station"), {"flash": flash})


HEAD = 'schema = 1\nid = "x"\nversion = "1.0.0"\n'
DRIVER = HEAD + 'driver = { kind = "simulated" }\n'
READING = DRIVER + '[readings.t]\ntype = "float"\nunit = "Cel"\n'


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (HEAD + 'driver = { kind = "serial", port = "a\\u0001" }\n', ["driver.port: text: character U+0001"]),
        (
            HEAD + 'driver = { kind = "python", b = "\\u0007", c = { d = ["good", "\\u001b"] }, e = inf }\n',
            [
                "driver.b: text: character U+0007",
                "driver.c.d[1]: text: character U+001B",
                "driver.e: nan and inf are no values",
            ],
        ),
        (HEAD + 'driver = { kind = "i2c", "a\\u0001" = 1 }\n', ["driver.a\\x01: its name: character U+0001"]),
        (READING + 'source = { name = "t\\u0000" }\n', ["readings.t.source.name: text: character U+0000"]),
        (
            READING
            + 'count = 2\nsource = { register = [1, "\\u0002"] }\n[commands.c.source]\nname = "\\ufffe"\n',
            [
                "readings.t.source.register[1]: text: character U+0002",
                "commands.c.source.name: text: character U+FFFE",
            ],
        ),
    ],
)
def test_what_cannot_travel_in_a_table_of_a_profiles_driver_is_told_by_file_and_key(
    tmp_path: Path, text: str, faults: list[str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        device_profiles.load_file(path)
    assert caught.value.where.endswith("x.toml")
    told = caught.value.faults
    assert [fault[: len(start)] for fault, start in zip(told, faults, strict=True)] == faults
    assert all("remove it" in fault or "give a number" in fault for fault in told)


def test_no_more_than_a_hundred_keys_of_a_table_are_told() -> None:
    keys = ", ".join(f'k{number} = "\\u0001"' for number in range(300))
    with pytest.raises(TableError) as caught:
        parse_profile(HEAD + f'driver = {{ kind = "serial", {keys} }}\n', "x.toml")
    assert caught.value.count == 100


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.org", f"{chr(252) * 60}.org", "a b.", "-a.org"])
def test_a_host_that_cannot_be_looked_up_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"host .*: no host's name or address; give one"):
        create_driver(device_profiles.load("sdm120"), {"host": host})


@pytest.mark.parametrize("host", ["192.0.2.7", "fe80::1%eth0", "meter_1.lan", "b\u00fccher.example"])
def test_a_host_that_can_be_looked_up_is_taken(host: str) -> None:
    create_driver(device_profiles.load("sdm120"), {"host": host})
