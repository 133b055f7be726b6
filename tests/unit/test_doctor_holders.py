"""The doctor tells a device's own agent from other programs at its port."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from iotxmpp.doctor.finding import Finding
from iotxmpp.doctor.places import Places
from iotxmpp.doctor.serial import check_holders

HOLDS = "import sys; port = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
"""A program that opens a port; its other words stand for those of an agent."""


def told(folder: Path, *words: str, config: Path | None) -> Finding:
    """What is told of a process that holds the port of a device, started in its folder with these words."""
    port = folder / "dev" / "ttyUSB0"
    port.parent.mkdir()
    port.touch()
    command = [sys.executable, "-c", HOLDS, str(port), *words]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        places = replace(Places.under(folder), proc=Places().proc)
        (found,) = check_holders(places, wanted=str(port), config=config)
        assert f"(process {holder.pid})" in found.what
    return found


@pytest.mark.parametrize("name", ["agent.toml", "{folder}/agent.toml", "link.toml"])
def test_the_devices_own_agent_may_hold_its_port(name: str, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.touch()
    (tmp_path / "link.toml").symlink_to(config)
    found = told(tmp_path, "agent", "run", "--log-level", "x", name.format(folder=tmp_path), config=config)
    assert found.level == "ok"
    assert "is held by this device's own agent" in found.what


@pytest.mark.parametrize(
    "words",
    [
        ("agent", "run", "other.toml"),
        ("agent", "run", "missing.toml"),
        ("agent", "run"),
        ("agent", "check", "agent.toml"),
        ("agent.toml", "agent", "run", "other.toml"),
        ("agent.toml",),
    ],
)
def test_any_other_program_at_the_port_is_warned_of(words: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("agent.toml", "other.toml"):
        (tmp_path / name).touch()
    found = told(tmp_path, *words, config=tmp_path / "agent.toml")
    assert found.level == "advice"
    assert "take each other's bytes" in found.why


def test_without_a_device_an_agent_at_a_port_is_told_as_any_program(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").touch()
    assert told(tmp_path, "agent", "run", "agent.toml", config=None).level == "advice"
