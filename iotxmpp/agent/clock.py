"""The device's clocks: what time it is, how far that can be trusted, and time that never jumps.

A Raspberry Pi has no clock that runs while it is off. So every reading's time has a quality, and while the
clock is not set at all, a reading keeps the time since the system's start instead.
"""

import ctypes
import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from iotxmpp.readings import ClockQuality

FIRST_CREDIBLE = 1_704_067_200.0
"""The start of 2024: a clock that shows an earlier time was never set."""

LAST_CREDIBLE = 4_102_444_800.0
"""The start of 2100: a clock that shows this or later is not set either."""

ASK_EVERY = 5.0
"""Seconds for which the kernel's answer about its clock holds, while nobody sets that clock."""

SET_BY = 0.05
"""Seconds by which a clock that somebody set leaves the time since the start; slewing takes minutes."""

_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux alone has it
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of <linux/timex.h>
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCHRONISED_MARK = Path("/run/systemd/timesync/synchronized")


class _Timex(ctypes.Structure):
    """The start of the kernel's `struct timex`; the rest is room enough for it to fill."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def synchronised() -> bool:
    """Whether the system's clock is kept right by the network, or by other means that the kernel knows.

    By adjtimex(2); where there is none, by the mark of systemd-timesyncd; else it is not.
    """
    ask = _adjtimex()
    timex = _Timex()
    if ask is None or ask(ctypes.byref(timex)) < 0:
        return _SYNCHRONISED_MARK.exists()
    return not timex.status & _UNSYNCHRONISED


@functools.cache
def _adjtimex() -> Callable[..., int] | None:
    try:
        return ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None


def uptime() -> float:
    """Seconds since the system's start, time asleep included; it never jumps."""
    return time.clock_gettime(_UPTIME)


@functools.cache
def boot_id() -> str:
    """Names this run of the system; where it has no name, one that no other run shares."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return os.urandom(16).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One moment by both clocks.

    Attributes:
        time: Seconds since 1970; None while the clock is not set.
        uptime: Seconds since the system's start.
        quality: How far `time` can be trusted; `r` while there is none.
    """

    time: float | None
    uptime: float
    quality: ClockQuality


@dataclass(kw_only=True)
class Clock:
    """The clocks of a device; a test gives its own.

    Attributes:
        wall: Gives seconds since 1970.
        uptime: Gives seconds since the system's start.
        synchronised: Says whether the wall clock is kept right.
        boot: Names this run of the system.
    """

    wall: Callable[[], float] = time.time
    uptime: Callable[[], float] = uptime
    synchronised: Callable[[], bool] = synchronised
    boot: str = field(default_factory=boot_id)
    _asked: float = field(default=float("-inf"), init=False)
    _set_at: float = field(default=0.0, init=False)
    _is_synchronised: bool = field(default=False, init=False)

    def now(self) -> Moment:
        """The moment; a clock that was set since the last one has the quality that it has now."""
        wall, up = self.wall(), self.uptime()
        quality = self._quality(wall, up)
        return Moment(time=None if quality == "r" else wall, uptime=up, quality=quality)

    def stamp(self, at: float | None) -> tuple[float, ClockQuality]:
        """The time and its quality of a reading that was made now, or then; of quality `r` by `uptime`."""
        wall, up = self.wall(), self.uptime()
        quality = self._quality(wall, up)
        if at is not None:
            return at, "u" if quality == "r" else quality
        return (up if quality == "r" else wall), quality

    def _quality(self, wall: float, up: float) -> ClockQuality:
        if not FIRST_CREDIBLE <= wall < LAST_CREDIBLE:
            return "r"
        set_at = wall - up
        if up - self._asked >= ASK_EVERY or abs(set_at - self._set_at) > SET_BY:
            self._asked, self._set_at, self._is_synchronised = up, set_at, self.synchronised()
        return "s" if self._is_synchronised else "u"
