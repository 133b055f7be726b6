"""Checks of I2C and 1-Wire: switched on, there, and allowed."""

import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from iotxmpp.agent.drivers.onewire import temperature, thermometers
from iotxmpp.doctor.finding import Finding, fault, graded, ok
from iotxmpp.doctor.places import Places, boot_config, boot_lines, entries, is_pi
from iotxmpp.kernelfiles import text_of

_REBOOT = "sudo reboot"
_MOST_ASKED = 16
"""Sensors that are asked: more take longer than a check has."""


def check_i2c(places: Places, *, needed: bool, bus: int = 1) -> list[Finding]:
    """Whether there is an I2C bus, and whether this user may use it.

    Args:
        places: Where to look.
        needed: Whether the device's driver uses it.
        bus: The number of the bus that it uses.
    """
    buses = entries(places.dev, "i2c-*")
    if not buses:
        if not (needed or is_pi(places)):
            return [ok("no I2C bus is there, and none is needed")]
        return [graded(needed, "I2C is not switched on", *_why_no_i2c(places))]
    names = ", ".join(str(path) for path in buses)
    wanted = places.dev / f"i2c-{bus}"
    if needed and wanted not in buses:
        return [fault(f"bus {wanted} is not there", f"there are: {names}; `bus` in [driver] chooses another")]
    closed = [path for path in buses if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        fix = ("sudo usermod -aG i2c $USER", "log out and in again")
        why = "I2C's devices belong to the group i2c"
        return [graded(needed, f"{closed[0]} may not be opened by this user", why, *fix)]
    return [ok(f"I2C: {names} may be opened")]


def _why_no_i2c(places: Places) -> tuple[str, ...]:
    """Why there is none, and what to do."""
    lines = boot_lines(places)
    if not is_pi(places):
        return "the kernel's module i2c-dev shows the machine's buses", "sudo modprobe i2c-dev"
    if "dtparam=i2c_arm=on" not in lines and "dtparam=i2c_arm" not in lines:
        config = boot_config(places)
        why = f"{config} has no line dtparam=i2c_arm=on"
        return (
            why,
            f"echo dtparam=i2c_arm=on | sudo tee -a {config}",
            "echo i2c-dev | sudo tee -a /etc/modules",
            _REBOOT,
        )
    if not (places.sys / "module/i2c_dev").exists():
        why = "the bus is switched on, but the module i2c-dev, which shows it to programs, is not loaded"
        return why, "sudo modprobe i2c-dev", "echo i2c-dev | sudo tee -a /etc/modules"
    return "it is switched on since the last start of the system", _REBOOT


def check_onewire(
    places: Places, *, needed: bool, wanted: Collection[str] = (), root: Path | None = None
) -> list[Finding]:
    """Whether 1-Wire is there, and the sensors that the device's driver uses answer.

    Args:
        places: Where to look.
        needed: Whether the device's driver uses it.
        wanted: The sensors' ids of its settings.
        root: Where its settings say that the bus is shown; where the kernel does unless given.
    """
    if root is not None and not root.exists():
        return [fault(f"no 1-Wire bus at {root}", "`root` in [driver] says so; correct or remove it")]
    root = root or places.sys / "bus/w1/devices"
    if not root.exists():
        if not (needed or is_pi(places)):
            return [ok("1-Wire is not there, and not needed")]
        return [graded(needed, "1-Wire is not switched on", *_why_no_onewire(places))]
    sensors = [path.name for path in entries(root) if "-" in path.name and not path.name.startswith("00-")]
    if not sensors:
        why = "1-Wire is on, and nothing answers: check data (GPIO 4), 3.3 V, ground, the 4.7 kOhm pull-up"
        return [graded(needed, "no 1-Wire sensor is there", why, f"ls {root}")]
    if not needed:
        return [ok(f"1-Wire: {', '.join(sensors)}")]
    return _used(root, sensors, [each.lower() for each in wanted])


def _used(root: Path, sensors: Collection[str], wanted: Sequence[str]) -> list[Finding]:
    """Whether those that the driver uses are there, and answer."""
    there = f"there are: {', '.join(sensors)}"
    missing = [each for each in wanted if each not in sensors]
    used = wanted or thermometers(root)
    if missing:
        return [fault(f"1-Wire sensor {', '.join(missing)} is not there", there)]
    if not used:
        return [fault("no 1-Wire thermometer is there", f"{there}; of these the driver reads none")]
    if not wanted and len(used) > 1:
        why = f"{there}; the agent's file does not say which one it reads, in [driver]"
        return [fault(f"{len(used)} 1-Wire thermometers are there, and no id", why, f'id = "{used[0]}"')]
    return _answers(root, used)


def _answers(root: Path, used: Sequence[str]) -> list[Finding]:
    """What the sensors say; each takes up to 0.75 s."""
    found = []
    for sensor in used[:_MOST_ASKED]:
        try:
            found.append(ok(f"1-Wire: {sensor} shows {temperature(root / sensor):g} Cel"))
        except OSError as error:
            text = error.strerror or str(error)
            found.append(fault(f"1-Wire: {text}", "", f"cat {shlex.quote(str(root / sensor / 'w1_slave'))}"))
    return found


def _why_no_onewire(places: Places) -> tuple[str, ...]:
    if not is_pi(places):
        return "the kernel has no 1-Wire bus", "sudo modprobe w1-gpio"
    config = boot_config(places)
    if not any(line.startswith("dtoverlay=w1-gpio") for line in boot_lines(places)):
        return (
            f"{config} has no line dtoverlay=w1-gpio",
            f"echo dtoverlay=w1-gpio | sudo tee -a {config}",
            _REBOOT,
        )
    return f"{config} has it since the last start of the system", _REBOOT


def check_groups(
    places: Places, *, needed: Collection[str], mine: Collection[int] | None = None
) -> list[Finding]:
    """Whether this user is in the groups of the hardware.

    Args:
        places: Where to look.
        needed: The groups that the device's driver needs.
        mine: The numbers of this process's groups.
    """
    if os.geteuid() == 0 and mine is None:
        return [ok("root needs no group")]
    numbers = set(os.getgroups() if mine is None else mine)
    there = _groups(places.etc)
    found = []
    for name in ("dialout", "gpio", "i2c", "spi"):
        if name not in there or there[name] in numbers:
            continue
        if name in needed:
            fix = (f"sudo usermod -aG {name} $USER", "log out and in again")
            found.append(
                fault(f"this user is not in the group {name}", "the driver's devices belong to it", *fix)
            )
    return found or [ok("this user is in every group that the driver needs")]


def _groups(etc: Path) -> dict[str, int]:
    rows = (line.split(":") for line in text_of(etc / "group").splitlines())
    return {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdigit()}  # noqa: PLR2004  # group(5)
