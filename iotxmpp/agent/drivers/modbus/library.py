"""pymodbus, brought in when it is first needed, and faults of opening in words that help."""

import errno
import fcntl
import logging
import os
import socket
import termios
from importlib.util import find_spec

from iotxmpp.agent.drivers.modbus.bindings import ModbusSettings
from iotxmpp.errors import ConfigError

NO_LIBRARY = "driver modbus: {missing} is not installed; run: pip install 'iotxmpp[modbus]'"

_IN_USE = "another program has it; which one shows: sudo fuser -v {port}"
_ADVICE = {
    errno.ENOENT: "no such port; is the adapter plugged in? Those that are: ls /dev/serial/by-id",
    errno.EACCES: "may not be opened: sudo usermod -aG dialout USER, and log in again",
    errno.EBUSY: _IN_USE,
    errno.EAGAIN: _IN_USE,
    errno.ENOTTY: "is no serial port",
}


def bring_in(settings: ModbusSettings) -> None:
    """Looks whether the libraries are there; takes a while, so not on the loop.

    Raises:
        ConfigError: They are not.
    """
    try:
        import pymodbus.client  # noqa: PLC0415  # 3 MB that only such devices need
    except ImportError as error:
        raise ConfigError(NO_LIBRARY.format(missing="pymodbus")) from error
    # pymodbus brings it in by itself, and does without where it is not.
    if settings.port is not None and find_spec("serial") is None:
        raise ConfigError(NO_LIBRARY.format(missing="pyserial"))
    # It logs every lost answer, with the last frames; each is raised here, once and in words.
    logger = logging.getLogger(pymodbus.__name__)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


def why_closed(port: str) -> OSError:
    """Why a serial port could not be opened; blocks."""
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcgetattr(handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(handle)
    except termios.error as error:
        return OSError(errno.ENOTTY, f"{port}: {_ADVICE.get(error.args[0], error)}")
    except OSError as error:
        words = _ADVICE.get(error.errno or 0, error.strerror or "").format(port=port)
        return OSError(error.errno or errno.EIO, f"{port}: {words}")
    return OSError(errno.EIO, f"{port}: it could not be opened")


def why_unreachable(host: str, port: int, timeout: float) -> OSError:
    """Why no connection was made; blocks."""
    place = f"{host}:{port}"
    try:
        socket.create_connection((host, port), timeout).close()
    except socket.gaierror as error:
        return OSError(errno.EHOSTUNREACH, f"{place}: unknown host {host!r} ({error.strerror}); check host")
    except ConnectionRefusedError:
        text = (
            f"{place}: refused; nothing listens there: check host and tcp_port, and that the device has TCP"
        )
        return ConnectionRefusedError(errno.ECONNREFUSED, text)
    except TimeoutError:
        return TimeoutError(
            errno.ETIMEDOUT, f"{place}: no answer within {timeout:g} s; check host and network"
        )
    except OSError as error:
        return OSError(
            error.errno or errno.EIO, f"{place}: {error.strerror or error}; check host and network"
        )
    return OSError(errno.EIO, f"{place}: no connection; it may take no more than one at a time")
