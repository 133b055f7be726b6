"""A simulated fine dust sensor at a wire in memory."""

import asyncio
import struct
from collections.abc import Callable, Mapping

from firmware_bridge.port import Receiver
from iotxmpp.agent.drivers.moment import Moment
from iotxmpp.kinds import ReadingKind

EVERY = 1.0
"""Seconds between two frames."""

_CHANNELS = (
    "pm1",
    "pm2.5",
    "pm10",
    "particles-0.3",
    "particles-0.5",
    "particles-1",
    "particles-2.5",
    "particles-5",
    "particles-10",
)
_VERSION = 0x97
_MOST = 0xFFFF


class MemoryPms5003:
    """A simulated fine dust sensor: a frame a second.

    Args:
        frame: Gives the frame that is sent next.
        receiver: Gets the frames.
    """

    def __init__(self, frame: Callable[[], bytes], receiver: Receiver) -> None:
        self._frame = frame
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle = self._loop.call_soon(self._turn)

    def write(self, data: bytes) -> None:
        """A sensor that was told nothing takes nothing."""

    async def close(self) -> None:
        """Switches it off."""
        self._timer.cancel()

    def _turn(self) -> None:
        self._timer = self._loop.call_later(EVERY, self._turn)
        self._receiver.received(self._frame())


def simulated_frame(
    kinds: Mapping[str, ReadingKind], names: Mapping[str, str], *, seed: str, now: float
) -> bytes:
    """The frame of a sensor whose channels behave as the profile says.

    Args:
        kinds: The profile's channels.
        names: The sensor's names of them.
        seed: Sensors with different seeds have different values.
        now: Seconds since 1970.
    """
    moment = Moment(kinds, seed=seed, now=now)
    shown = {name: moment.value(channel) for channel, name in names.items()}
    numbers = [max(0, min(_MOST, int(shown.get(name, 0)))) for name in _CHANNELS]
    body = struct.pack(">2s14H", b"BM", 28, *numbers[:3], *numbers, _VERSION << 8)
    return body + struct.pack(">H", sum(body))
