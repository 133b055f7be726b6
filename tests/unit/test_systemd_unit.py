"""The unit of an agent: what it says, and that systemd takes it."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from iotxmpp.cli.exits import exit_code
from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Hardware, Unit, config_of, hardware_of, is_changed, quoted, untold_port

UNIT = Unit(
    name="iotxmpp-hall",
    device="hall",
    config=Path("/etc/iotxmpp/agent.toml"),
    program=("/usr/bin/python3", "-m", "iotxmpp"),
)


PORTS = ["char-ttyUSB rw", "char-ttyACM rw", "char-ttyAMA rw", "char-ttyS rw"]


def settings(unit: Unit) -> dict[str, list[str]]:
    """What the unit's file sets, each key with all of its values."""
    found: dict[str, list[str]] = {}
    for line in unit.text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_it_is_watched_started_again_and_shut_in() -> None:
    said = settings(UNIT)
    wanted = {
        "Type": "notify",
        "WatchdogSec": "60",
        "Restart": "always",
        "RestartSec": "5",
        "StartLimitIntervalSec": "0",
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "CapabilityBoundingSet": "",
        "StateDirectory": "iotxmpp/iotxmpp-hall",
        "ExecStart": "/usr/bin/python3 -m iotxmpp agent run /etc/iotxmpp/agent.toml",
        "WantedBy": "multi-user.target",
    }
    assert {key: said[key] for key in wanted} == {key: [value] for key, value in wanted.items()}
    assert "IOTXMPP_STATE=%S/iotxmpp/iotxmpp-hall" in said["Environment"][0]
    assert "SupplementaryGroups" not in said
    assert "adjtimex" in said["SystemCallFilter"][1]  # else no clock is ever synchronised
    assert not {"ProtectClock", "ProcSubset", "User"} & said.keys()


@pytest.mark.parametrize(
    ("kind", "given", "groups", "devices"),
    [
        ("serial", {}, "dialout", PORTS),
        ("gpio", {}, "gpio spi", ["char-gpiochip rw", "/dev/gpiomem rw", "char-spi rw"]),
        ("i2c", {}, "i2c", ["char-i2c rw"]),
        ("serial", {"port": "/dev/ttySC0"}, "dialout", [*PORTS, "char-ttySC rw", "/dev/ttySC0 rw"]),
        ("serial", {"port": "/dev/ttySC*"}, "dialout", [*PORTS, "char-ttySC rw"]),
        ("modbus", {"port": "/dev/rfcomm0"}, "dialout", [*PORTS, "char-rfcomm rw", "/dev/rfcomm0 rw"]),
        ("serial", {"port": "/dev/weather"}, "dialout", [*PORTS, "/dev/weather rw"]),
        ("serial", {"port": "/dev/ttyUSB3"}, "dialout", PORTS),
        ("serial", {"port": "/dev/tty*"}, "dialout", PORTS),
        ("serial", {"port": "/dev/a b"}, "dialout", PORTS),
        ("serial", {"flash": {"tool": "avrdude"}}, "dialout", PORTS),
        ("serial", {"flash": {"tool": "dfu-util"}}, "dialout", [*PORTS, "char-usb_device rw"]),
    ],
)
def test_it_may_use_the_hardware_of_its_driver_alone(
    kind: str, given: Mapping[str, object], groups: str, devices: list[str]
) -> None:
    said = settings(replace(UNIT, hardware=hardware_of(kind, given)))
    assert said["SupplementaryGroups"] == [groups]
    assert said["DeviceAllow"] == devices
    assert said["DevicePolicy"] == ["closed"]
    assert "PrivateDevices" not in said


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("onewire", {}),
        ("host", {}),
        ("modbus", {"host": "10.0.0.7"}),
        ("serial", {"port": "socket://10.0.0.7:7000"}),
        ("gpio", {"simulated": True}),
    ],
)
def test_a_driver_without_devices_gets_none(kind: str, given: Mapping[str, object]) -> None:
    assert settings(replace(UNIT, hardware=hardware_of(kind, given)))["PrivateDevices"] == ["yes"]


def test_what_a_driver_of_somebody_else_needs_is_not_forbidden() -> None:
    said = settings(replace(UNIT, hardware=hardware_of("lora", {}), groups=("dialout", "adm")))
    assert said["SupplementaryGroups"] == [
        "dialout"
    ]  # a group that is not there keeps a service from starting
    assert not {"DevicePolicy", "PrivateDevices", "MemoryDenyWriteExecute"} & said.keys()


def test_credentials_users_folders_and_newer_systemds() -> None:
    unit = replace(
        UNIT,
        run_as="pi",
        credentials={"hall.toml": Path("/home/pi/my hall.toml")},
        writable=(Path("/srv/50% full"),),
        version=254,
    )
    said = settings(unit)
    assert said["LoadCredential"] == ["hall.toml:/home/pi/my hall.toml"]
    assert said["User"] == ["pi"]
    assert said["ReadWritePaths"] == ['"/srv/50%% full"']
    assert said["RestartMaxDelaySec"] == ["300"]
    assert "DynamicUser" not in said
    assert "RestartSteps" not in settings(UNIT)


def test_a_port_that_points_to_another_is_that_one(tmp_path: Path) -> None:
    (tmp_path / "weather").symlink_to("/dev/ttySC1")
    (tmp_path / "made-up").symlink_to("/dev/pts/3")
    assert hardware_of("serial", {"port": str(tmp_path / "weather")}).devices[4:] == ("char-ttySC rw",)
    assert hardware_of("serial", {"port": str(tmp_path / "made-up")}).devices[4:] == ("char-pts rw",)


def test_what_fits_a_pattern_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "usb-weather").symlink_to("/dev/ttySC1")
    (tmp_path / "usb-uno").symlink_to("/dev/ttyUSB7")
    (tmp_path / "usb-made-up").symlink_to("/dev/pts/3")
    given = {"port": str(tmp_path / "usb-*")}
    assert hardware_of("serial", given).devices == (*PORTS, "char-pts rw", "char-ttySC rw")
    assert untold_port("serial", given) == ""


@pytest.mark.parametrize(
    ("port", "is_told"),
    [
        ("/dev/serial/by-id/*", True),
        ("/dev/serial/by-path/pci*", True),
        ("/dev/ttySC*", True),
        ("/dev/none/*", False),
        ("/none-of-this-name*", False),
        ("/dev/none/weather", True),
        ("socket://[::1]:7000", True),
    ],
)
def test_a_pattern_that_tells_of_no_kind_is_known(port: str, *, is_told: bool) -> None:
    assert untold_port("serial", {"port": port}) == ("" if is_told else port)
    assert set(PORTS) <= set(hardware_of("serial", {"port": port}).devices) or "://" in port


@pytest.mark.parametrize(
    ("kind", "modules"),
    [("serial", ["usbserial", "cdc_acm"]), ("i2c", ["i2c_dev"]), ("gpio", ["spidev"]), ("host", [])],
)
def test_devices_that_the_kernel_does_not_know_yet_are_made_known(kind: str, modules: list[str]) -> None:
    unit = replace(UNIT, hardware=hardware_of(kind, {}))
    loaders = [f"modprobe@{name}.service" for name in modules]
    assert settings(unit).get("Wants", [""])[0].split() == loaders
    assert settings(unit)["After"][0].split() == ["network.target", *loaders]
    assert "Wants" not in settings(replace(unit, scope="user"))


def test_a_users_unit_asks_for_nothing_that_needs_root() -> None:
    said = settings(replace(UNIT, scope="user", hardware=hardware_of("serial", {})))
    assert said["WantedBy"] == ["default.target"]
    assert (
        not {"DynamicUser", "User", "SupplementaryGroups", "DeviceAllow", "CapabilityBoundingSet"}
        & said.keys()
    )
    assert said["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x\ny", "a/b"])
def test_a_name_that_systemd_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="systemd takes names"):
        replace(UNIT, name=name)
    with pytest.raises(ConfigError, match="systemd takes names"):
        replace(UNIT, credentials={name: Path("/x")})


def test_no_path_writes_lines_of_its_own() -> None:
    with pytest.raises(ConfigError, match="control character"):
        replace(UNIT, config=Path("/x\nExecStartPre=/bin/evil")).text()
    assert quoted("/a b") == '"/a b"'
    assert quoted("$HOME/%h") == "$$HOME/%%h"
    assert quoted('/a "b" \\c') == '"/a \\"b\\" \\\\c"'
    assert quoted("/a;b") == '"/a;b"'


def test_a_change_is_seen() -> None:
    text = UNIT.text()
    assert not is_changed(text)
    assert is_changed(text.replace("RestartSec=5", "RestartSec=1"))
    assert is_changed("[Service]\nExecStart=/bin/true\n")
    assert text == UNIT.text()


@pytest.mark.parametrize(
    "config",
    [
        "/etc/iotxmpp/agent.toml",
        "/a b/agent.toml",
        "/50%/$HOME/%%h.toml",
        '/a "b" \\c/x.toml',
        "/x agent run /y.toml",
        '/a" agent run /b.toml',
        "/büro/agent.toml",
    ],
)
def test_whose_unit_it_is_can_be_read(config: str) -> None:
    for program in (UNIT.program, ("/opt/a b agent run/python", "-P", "-m", "iotxmpp")):
        text = replace(UNIT, config=Path(config), program=program).text()
        assert config_of(text) == Path(config)
        assert config_of(text.replace("RestartSec=5", "RestartSec=1")) == Path(config)
    assert config_of(text.partition("\n")[2]) is None
    assert config_of(text.replace("agent run", "agent look")) is None


def analysed(unit: Unit, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    file = folder / unit.file_name
    file.write_text(unit.text())
    return subprocess.run(
        ["systemd-analyze", *words, str(file)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("kind", ["simulated", "serial", "gpio", "i2c", "lora"])
def test_systemd_takes_it(tmp_path: Path, kind: str) -> None:
    unit = replace(UNIT, config=tmp_path / "50% a b.toml", hardware=hardware_of(kind, {}))
    done = analysed(unit, tmp_path, "verify")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_users_systemd_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = analysed(replace(UNIT, scope="user", version=252), tmp_path, "--user", "verify")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_a_wrong_key(tmp_path: Path) -> None:
    file = tmp_path / "wrong.service"
    file.write_text(UNIT.text().replace("WatchdogSec=60", "WatchdogSeconds=60"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "WatchdogSeconds" in done.stderr


@pytest.mark.parametrize("hardware", [Hardware(), hardware_of("serial", {})])
def test_systemd_calls_it_safe(tmp_path: Path, hardware: Hardware) -> None:
    unit = replace(UNIT, hardware=hardware)
    done = analysed(unit, tmp_path, "security", "--offline=true", "--threshold=30", "--no-pager")
    assert done.returncode == 0, done.stdout[-400:]


def test_a_wrong_file_is_not_started_for_ever() -> None:
    assert settings(UNIT)["RestartPreventExitStatus"] == [str(int(exit_code(ConfigError("wrong"))))]


def test_files_in_the_shared_folder_are_not_hidden() -> None:
    unit = replace(UNIT, config=Path("/var/tmp/hall/agent.toml"))  # named alone
    assert "PrivateTmp" not in settings(unit)
    assert "it would hide /var/tmp/hall/agent.toml" in unit.text()
    read = replace(UNIT, reads=(Path("/etc/iotxmpp/tank.toml"), Path("/tmp/ca.pem")))
    assert "PrivateTmp" not in settings(read)
    assert read.shared_tmp == Path("/tmp/ca.pem")
