"""gpiozero, brought in when it is first needed, and its faults in words that help."""

import errno
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from iotxmpp.errors import ConfigError, IotxmppError

_LOGGER = logging.getLogger(__name__)

NO_LIBRARY = "driver gpio: gpiozero is not installed; run: pip install 'iotxmpp[pi]'"
NO_PINS = (
    "driver gpio: gpiozero finds no GPIO pins here ({why}). On a Raspberry Pi: sudo apt install"
    " python3-lgpio, and make the virtual environment with --system-site-packages. On a PC: simulated = true"
    " in [driver], or GPIOZERO_PIN_FACTORY=mock"
)
NO_RIGHTS = (
    "driver gpio: {error}; the GPIO device may not be opened: sudo usermod -aG gpio USER, and log in again"
)

_FAULTS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"PinInvalidPin"}), "; use the processor's numbers (BCM), such as 17 for GPIO17"),
    (frozenset({"GPIOPinInUse"}), "; another part of this program has the pin: give each its own"),
    (frozenset({"PinFixedPull"}), "; use another pin, or the pull that it has"),
    (
        frozenset({"PinPWMUnsupported", "PinPWMFixedValue"}),
        "; these pins cannot dim: sudo apt install python3-lgpio, or use an LED",
    ),
    (frozenset({"PinInvalidState", "PinInvalidPull", "SPIBadArgs", "SPIBadChannel"}), ""),
)


def library() -> ModuleType:
    """The module gpiozero; bringing it in takes a while, so not on the loop.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import gpiozero  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types; only boards need it
    except ImportError as error:
        raise ConfigError(NO_LIBRARY) from error
    module: ModuleType = gpiozero
    return module


def real_pins() -> object:
    """The pins of this machine, which the whole process shares.

    Raises:
        ConfigError: There are none, or no way to them is installed.
        OSError: They cannot be used now.
    """
    device = library().Device
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            with advised("pins"):
                device.ensure_pin_factory()
        except ConfigError as error:
            reasons = [str(each.message).removeprefix("Falling back from ") for each in said]
            if not reasons:
                raise
            raise ConfigError(NO_PINS.format(why="; ".join(reasons))) from error
    for each in said:
        _LOGGER.info("gpiozero: %s", each.message)
    pins: object = device.pin_factory
    return pins


@contextmanager
def advised(where: str) -> Iterator[None]:
    """Turns what gpiozero and its pin libraries raise into our errors.

    Args:
        where: What is being done, such as a source's place in the profile.

    Raises:
        ConfigError: The settings ask for what cannot be.
        OSError: The hardware does not do it now.
    """
    try:
        yield
    except (IotxmppError, TimeoutError):
        raise
    except PermissionError as error:
        raise PermissionError(errno.EACCES, NO_RIGHTS.format(error=error)) from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, f"{where}: {error}") from error
    except Exception as error:
        raise _advice(error, where) from error


def _advice(error: Exception, where: str) -> Exception:
    names = {each.__name__ for each in type(error).__mro__}
    text = str(error) or type(error).__name__
    if names & {"BadPinFactory", "PinUnknownPi"} or isinstance(error, ImportError):
        return ConfigError(NO_PINS.format(why=text))
    for faults, advice in _FAULTS:
        if names & faults:
            return ConfigError(f"{where}: {text}{advice}")
    if "busy" in text.lower():
        return OSError(errno.EBUSY, f"{where}: {text}: another program has the pin; gpioinfo shows which")
    if "can not open gpiochip" in text.lower():
        return PermissionError(errno.EACCES, NO_RIGHTS.format(error=text))
    return OSError(errno.EIO, f"{where}: {type(error).__name__}: {text}")
