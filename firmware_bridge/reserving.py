"""Keeps a port for the program that writes firmware: no other agent or command of this machine opens it.

Such a program may take a lock of its own on the port, or none. So the mark is not on the port: it is a socket
with an abstract name, which every user of the machine sees, which needs no folder, and which ends with its
process however that ends.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from firmware_bridge.candidates import holders

_PSEUDO = range(136, 144)
_OURS: ContextVar[frozenset[str]] = ContextVar("reserved", default=frozenset())


@contextmanager
def reserved(path: str) -> Iterator[None]:
    """Keeps everybody else from opening a port; this task, and those that it starts, may.

    A URL, or a port that is not there, is not kept. Within itself it does nothing more.

    Raises:
        OSError: Firmware is being written there already.
    """
    mark = _mark(path)
    if mark is None or mark in _OURS.get():
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as kept:
        try:
            kept.bind(mark)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise _busy(path) from error
        token = _OURS.set(_OURS.get() | {mark})
        try:
            yield
        finally:
            _OURS.reset(token)


def check_unreserved(path: str) -> None:
    """Raises OSError if somebody else keeps the port."""
    mark = _mark(path)
    if mark is None or mark in _OURS.get():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(mark)
        except ConnectionRefusedError:
            return
    raise _busy(path)


def _mark(path: str) -> str | None:
    """The port's mark: by its device, which all its names share."""
    if "://" in path:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116  # a text, as users gave it
    except OSError:
        return None
    if not stat.S_ISCHR(found.st_mode):
        return None
    # The number of a pseudo-terminal is another's as soon as it is closed.
    of = found.st_ctime_ns if os.major(found.st_rdev) in _PSEUDO else 0
    return f"\0iotxmpp-port-{os.major(found.st_rdev)}-{os.minor(found.st_rdev)}-{of}"


def _busy(path: str) -> OSError:
    who = ", ".join(holders(path)) or "another iotxmpp"
    return OSError(errno.EBUSY, f"{path}: held by {who} for writing firmware; try again when that has ended")
