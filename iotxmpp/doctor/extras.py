"""Whether the libraries of the device's driver are installed."""

from collections.abc import Callable
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
