"""Tells systemd how the agent is (sd_notify(3)); without a supervisor it costs nothing.

The agent is ready when sampling has begun, not when the server is reached: readings wait on the device, so a
server that is away must not look like a failed start.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from iotxmpp.xmltext import printable

SOCKET_VARIABLE = "NOTIFY_SOCKET"
UNTIL_READY = 0.1
"""Seconds between two looks at whether sampling has begun."""

AT_MOST = 10.0
"""Seconds between two looks after that; a third of the watchdog's time, where that is less."""

_LONGEST_STATUS = 300
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """How the agent is at one moment.

    Attributes:
        begun: Whether sampling has begun.
        alive: Whether sampling goes on; without that the watchdog gets no sign of life.
        text: A sentence for `systemctl status`.
    """

    begun: bool = False
    alive: bool = True
    text: str = "starting"


def notify(*lines: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Sends lines such as `READY=1` to the supervisor; returns whether they went out.

    It neither blocks nor raises: a supervisor that does not listen must not stop a device.
    """
    address = environ.get(SOCKET_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return False
    target = f"\0{address[1:]}" if address.startswith("@") else address  # abstract, on Linux alone
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as talking:
            talking.settimeout(0)
            talking.sendto("\n".join(lines).encode(), target)
    except OSError as error:
        _LOGGER.debug("the supervisor was not told %s: %s", lines, error)
        return False
    return True


def watchdog(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which the supervisor wants a sign of life; None if it wants none of us."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        seconds = int(environ.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return seconds if seconds > 0 else None


@asynccontextmanager
async def notifying(pulse: Callable[[], Pulse]) -> AsyncIterator[Callable[[], None]]:
    """While the body runs, tells the supervisor how it is; gives what tells that the end has begun.

    `WATCHDOG=1` is sent from the event loop, so a loop that hangs sends none, and the service is started
    again. The end of the body tells `STOPPING`, too, if that was not told before.

    Args:
        pulse: Says how the agent is.
    """
    if not os.environ.get(SOCKET_VARIABLE):
        yield _nothing
        return
    teller = _Teller(pulse)
    task = asyncio.create_task(teller.run(), name="supervisor")
    try:
        yield teller.stop
    finally:
        teller.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _nothing() -> None:
    """There is nobody to tell."""


class _Teller:
    def __init__(self, pulse: Callable[[], Pulse]) -> None:
        self._pulse = pulse
        self._watchdog = watchdog()
        self._begun = False
        self._ready = False
        self._stopping = False
        self._said = ""

    async def run(self) -> None:
        """Tells until it is cancelled."""
        turn = AT_MOST if self._watchdog is None else min(self._watchdog / 3, AT_MOST)
        while True:
            try:
                self._tell()
            except Exception:
                _LOGGER.exception("how the agent is cannot be told, which is a fault of iotxmpp")
            await asyncio.sleep(turn if self._begun else min(UNTIL_READY, turn))

    def stop(self) -> None:
        """Tells that the end has begun; from here on it alone is told, and signs of life."""
        if not self._stopping:
            self._stopping = True
            notify("STOPPING=1", "STATUS=stopping")

    def _tell(self) -> None:
        if self._stopping:
            notify("WATCHDOG=1")
            return
        pulse = self._pulse()
        lines = []
        self._begun = pulse.begun
        if pulse.begun and not self._ready:
            self._ready = notify("READY=1")
        if pulse.alive and self._watchdog is not None:
            lines.append("WATCHDOG=1")
        text = pulse.text if pulse.alive else f"sampling hangs, waiting to be started again; {pulse.text}"
        if text != self._said:
            self._said = text
            lines.append(f"STATUS={printable(text)[:_LONGEST_STATUS]}")
        if lines:
            notify(*lines)
