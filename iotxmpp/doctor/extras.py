"""Whether the libraries of the device's driver are installed."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec

from iotxmpp.doctor.finding import Finding, fault, ok

_LIBRARIES: dict[str, tuple[tuple[str, ...], str]] = {
    "gpio": (("gpiozero",), "pi"),
    "i2c": (("smbus2",), "pi"),
    "modbus": (("pymodbus",), "modbus"),
    "serial": (("serialx", "serial"), "serial"),
}
"""What each driver imports, one of these, and the extra that brings it."""

_LOOK = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
_LOOKED_FOR_WITHIN = 15.0


def is_installed(module: str) -> bool:
    """Whether a module can be found; it is not loaded."""
    return find_spec(module) is not None


def driver_is_installed(kind: str) -> bool:
    """Whether a driver of that kind is registered."""
    return bool(entry_points(group="iotxmpp.drivers", name=kind))


def check_extras(
    kind: str,
    *,
    simulated: bool,
    there: Callable[[str], bool] = is_installed,
    registered: Callable[[str], bool] = driver_is_installed,
) -> list[Finding]:
    """Whether a driver can be loaded.

    Args:
        kind: Its kind.
        simulated: Whether it runs without hardware.
        there: Says whether a module can be found.
        registered: Says whether a driver is registered.
    """
    if kind not in _LIBRARIES:
        if kind in ("simulated", "host", "onewire", "python") or registered(kind):
            return [ok(f"driver {kind} needs nothing more")]
        why = "the package that brings it is not installed in this Python"
        return [fault(f"driver {kind} is not there", why, "pip list")]
    modules, extra = _LIBRARIES[kind]
    found = next((module for module in modules if there(module)), None)
    if found is None and not (simulated and kind in ("serial", "i2c")):
        return [fault(f"driver {kind}: {modules[0]} is not installed", "", f"pip install 'iotxmpp[{extra}]'")]
    return [ok(f"driver {kind}: {found or 'runs without a library where it is simulated'}")]


def check_functions(settings: Mapping[str, object]) -> list[Finding]:
    """Whether a service would find the functions of a python driver.

    Args:
        settings: The driver's settings.
    """
    return missing_modules(settings) or [ok("the functions of driver python are where a service looks")]


def missing_modules(settings: Mapping[str, object]) -> list[Finding]:
    """The modules of a python driver's functions that a service does not find.

    It looks among installed ones alone, and not into the folder of the agent's file or the current one, where
    a file could have the name of one of Python's own. A module is looked for without running it, but for the
    packages that it is in, in a process of their own; so whether it has the function is not known.

    Args:
        settings: The driver's settings.

    Raises:
        OSError: This Python could not be started anew.
        subprocess.TimeoutExpired: It did not end in time.
    """
    found = []
    for key in ("function", "command"):
        name, colon, function = str(settings.get(key, "")).partition(":")
        if not colon or not name.replace(".", "_").isidentifier() or "file" in settings or _serves(name):
            continue
        fix = (f'file = "{name.replace(".", "/")}.py"', f'{key} = "{function}"')
        why = "for a service, only installed modules count; a file beside the agent's is named in [driver] by"
        found.append(fault(f'{key} = "{name}:{function}": there is no module {name}', why, " and ".join(fix)))
    return found


def _serves(module: str) -> bool:
    """Whether a service's Python, which has no folder of its own and no PYTHONPATH, finds a module."""
    bare = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    words = [sys.executable, "-P", "-c", _LOOK, module]
    asked = subprocess.run(  # noqa: S603  # our own interpreter, and our own script
        words, cwd="/", env=bare, capture_output=True, timeout=_LOOKED_FOR_WITHIN, check=False
    )
    return not asked.returncode
