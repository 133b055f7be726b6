"""An I2C bus: bytes to and from the chip at an address. All of it blocks, so nothing here is for the loop."""

import errno
from pathlib import Path
from types import ModuleType
from typing import Protocol

from iotxmpp.errors import ConfigError

NO_LIBRARY = "driver i2c: smbus2 is not installed; run: pip install 'iotxmpp[pi]'"
_NO_BUS = (
    "{path}: no such I2C bus; on a Raspberry Pi: sudo raspi-config nonint do_i2c 0, and reboot; those that"
    " are there: ls /dev/i2c-*"
)
_NO_RIGHTS = "{path}: may not be opened: sudo usermod -aG i2c USER, and log in again"
_SILENT = frozenset({errno.ENXIO, errno.EREMOTEIO, errno.EIO, errno.ETIMEDOUT, errno.ENODEV})


class ChipError(OSError):
    """A chip answered, and the answer is its fault; the text says which."""


class Bus(Protocol):
    """A bus that is open; errors are OSErrors of the bus, without advice."""

    def write(self, address: int, data: bytes) -> None:
        """Sends bytes to a chip."""
        ...

    def read(self, address: int, count: int) -> bytes:
        """Takes so many bytes from a chip."""
        ...

    def ask(self, address: int, data: bytes, count: int) -> bytes:
        """Sends bytes to a chip and takes its answer, without letting the bus go between."""
        ...

    def close(self) -> None:
        """Lets the bus go."""
        ...


class KernelBus:
    """A bus of this machine, as the kernel gives it in `/dev/i2c-N`.

    Args:
        number: Its number, such as 1 for the pins 3 and 5 of a Raspberry Pi.

    Raises:
        ConfigError: smbus2 is not installed.
        OSError: There is no such bus, or it may not be opened.
    """

    def __init__(self, number: int) -> None:
        self._library = _library()
        path = Path(f"/dev/i2c-{number}")
        try:
            self._bus = self._library.SMBus(str(path))
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, _NO_BUS.format(path=path)) from error
        except PermissionError as error:
            raise PermissionError(errno.EACCES, _NO_RIGHTS.format(path=path)) from error

    def write(self, address: int, data: bytes) -> None:
        """Sends bytes to a chip."""
        self._bus.i2c_rdwr(self._library.i2c_msg.write(address, data))

    def read(self, address: int, count: int) -> bytes:
        """Takes so many bytes from a chip."""
        taken = self._library.i2c_msg.read(address, count)
        self._bus.i2c_rdwr(taken)
        return bytes(list(taken))

    def ask(self, address: int, data: bytes, count: int) -> bytes:
        """Sends bytes to a chip and takes its answer, without letting the bus go between."""
        taken = self._library.i2c_msg.read(address, count)
        self._bus.i2c_rdwr(self._library.i2c_msg.write(address, data), taken)
        return bytes(list(taken))

    def close(self) -> None:
        """Lets the bus go."""
        self._bus.close()


def advised(error: OSError, *, bus: str, address: int, advice: str) -> OSError:
    """An error of the bus in words that help, of the same errno.

    Args:
        error: What the bus raised.
        bus: The bus, such as `/dev/i2c-1`.
        address: The chip's address.
        advice: What to look at where nothing answers.
    """
    if error.errno in _SILENT and not isinstance(error, ChipError):
        return OSError(error.errno, f"{bus}: nothing answers at 0x{address:02x}; {advice}")
    return OSError(error.errno or errno.EIO, f"{bus}: 0x{address:02x}: {error.strerror or error}")


def _library() -> ModuleType:
    try:
        import smbus2  # noqa: PLC0415  # only boards with such a bus need it
    except ImportError as error:
        raise ConfigError(NO_LIBRARY) from error
    return smbus2
