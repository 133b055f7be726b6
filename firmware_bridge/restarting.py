"""Starts a board anew by its port's DTR line, for one that says who it is at its start alone."""

import asyncio
import contextlib
import fcntl
import os
import stat
import struct
import termios
import time

from firmware_bridge.port import check_free

LOW = 0.25
"""Seconds that DTR is low: a board whose reset hangs on it starts as the port is opened next."""

_PSEUDO = range(136, 144)
_SPEED = 5
_in_vain: set[str] = set()


def may_restart(path: str) -> bool:
    """Whether a port has a DTR line, and its board was not yet started anew in vain by this program."""
    return has_lines(path) and os.path.realpath(path) not in _in_vain


def note(path: str, *, in_vain: bool) -> None:
    """Notes whether a port's board was started anew in vain: then it is not done again."""
    if in_vain:
        _in_vain.add(os.path.realpath(path))
    else:
        _in_vain.discard(os.path.realpath(path))


async def restart(path: str) -> bool:
    """Draws DTR low at a port that is closed; whoever opens it next raises it, and so starts the board.

    As the Arduino IDE does. Boards whose reset does not hang on DTR go on.

    Returns:
        Whether it was done; not where it would call a boot loader (1200 baud), or somebody has the port.
    """
    try:
        await check_free(path)
    except OSError:
        return False
    return await asyncio.to_thread(_drop, path)


def has_lines(path: str) -> bool:
    """Whether a port is a serial one of this machine; a pseudo-terminal has no DTR."""
    if "://" in path:
        return False
    try:
        found = os.stat(path)  # noqa: PTH116  # a text, as users gave it
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) not in _PSEUDO


def _drop(path: str) -> bool:
    try:
        port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if termios.tcgetattr(port)[_SPEED] == termios.B1200:
            return False
        fcntl.ioctl(port, termios.TIOCMBIC, struct.pack("I", termios.TIOCM_DTR))
        time.sleep(LOW)
    except (OSError, termios.error):
        return False
    finally:
        with contextlib.suppress(OSError):
            os.close(port)
    return True
