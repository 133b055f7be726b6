"""Which of gpiozero's pin factories works; asked of another process, so that nothing of it stays here."""

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping

from iotxmpp.doctor.finding import Finding, fault, graded, ok

ASK_WITHIN = 15.0
"""Seconds that the other process has."""

NEWEST_WITH_WHEEL = (3, 12)
"""After this Python, lgpio is to be had from Debian alone."""

MACHINES_WITH_WHEEL = ("aarch64", "x86_64")
"""On other machines, too."""

_SCRIPT = """
import json
found = {}
try:
    import gpiozero
except Exception as error:
    found["gpiozero"] = f"{type(error).__name__}: {error}"
else:
    for kind in ("LGPIO", "RPiGPIO", "PiGPIO", "Native"):
        name = kind.lower()
        try:
            place = {}
            exec(f"from gpiozero.pins.{name} import {kind}Factory as factory", place)
            place["factory"]().close()
            found[name] = ""
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""

Factories = Mapping[str, str]
"""Why each factory does not work, by its name; empty for one that does."""


def ask_factories() -> Factories:
    """Tries each factory.

    Raises:
        OSError: The other process could not be started.
        ValueError: It said nothing that can be read.
        subprocess.TimeoutExpired: It did not end in time.
    """
    with tempfile.TemporaryDirectory() as folder:  # lgpio leaves a file where it runs
        asked = subprocess.run(  # noqa: S603  # our own interpreter, and our own script
            [sys.executable, "-W", "ignore", "-c", _SCRIPT],
            capture_output=True,
            text=True,
            timeout=ASK_WITHIN,
            check=False,
            cwd=folder,
        )
    lines = asked.stdout.strip().splitlines()
    if not lines:
        raise ValueError(f"asking gpiozero ended with code {asked.returncode}: {asked.stderr.strip()[-200:]}")
    found: Factories = json.loads(lines[-1])
    return found


def check_pins(
    *,
    needed: bool,
    ask: Callable[[], Factories] = ask_factories,
    version: tuple[int, int] = sys.version_info[:2],
    machine: str = "",
) -> list[Finding]:
    """Which pin factory works, and why the others do not.

    Args:
        needed: Whether the device's driver uses GPIO pins.
        ask: Tries the factories.
        version: Python's version.
        machine: The processor's kind, such as `aarch64`; that of this machine unless given.
    """
    factories = ask()
    if "gpiozero" in factories:
        if not needed:
            return [ok("gpiozero is not installed, and not needed")]
        return [fault("gpiozero is not installed", factories["gpiozero"], "pip install 'iotxmpp[pi]'")]
    working = [name for name, why in factories.items() if not why]
    if working:
        return [ok(f"GPIO: the pin factory {working[0]} works", _refusals(factories))]
    if not needed:
        return [ok("GPIO: no pin factory works here, and none is needed", _refusals(factories))]
    if "unable to locate pi revision" in _refusals(factories).lower() and "lgpio" not in _denied(factories):
        fix = ["# in [driver] of agent.toml, for a machine that is no Raspberry Pi:", "simulated = true"]
    elif "No module" not in factories.get("lgpio", ""):
        fix = ["sudo usermod -aG gpio $USER", "log out and in again"]
    elif version <= NEWEST_WITH_WHEEL and (machine or platform.machine()) in MACHINES_WITH_WHEEL:
        fix = ["pip install lgpio"]
    else:
        fix = ["sudo apt install python3-lgpio", "python3 -m venv --system-site-packages .venv"]
    why = f"{_refusals(factories)}. Without a board, `simulated = true` in [driver] simulates pins"
    return [graded(needed, "GPIO: no pin factory works", why, *fix)]


def _denied(factories: Factories) -> str:
    """The factories that this user may not use."""
    return " ".join(name for name, why in factories.items() if "ermission" in why or "not open" in why)


def _refusals(factories: Factories) -> str:
    return "; ".join(f"{name}: {' '.join(why.split())[:160]}" for name, why in factories.items() if why)
