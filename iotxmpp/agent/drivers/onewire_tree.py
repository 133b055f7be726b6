"""A simulated 1-Wire bus: a directory with thermometers, as the kernel shows them."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from iotxmpp.agent.drivers.moment import Moment
from iotxmpp.kinds import ReadingKind

_POLYNOMIAL = 0x8C


class SimulatedTree:
    """A bus below a temporary directory, from making it to `close`.

    Attributes:
        root: The directory.
    """

    def __init__(
        self,
        kinds: Mapping[str, ReadingKind],
        ids: Mapping[str, str | None],
        *,
        seed: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Makes it.

        Args:
            kinds: How each channel is simulated.
            ids: The sensors of the channels; one is made up where there is none.
            seed: Devices with different seeds have different values.
            clock: Gives the seconds since 1970.
        """
        self._kinds = kinds
        self._seed = seed
        self._clock = clock
        self.root = Path(tempfile.mkdtemp(prefix="iotxmpp-onewire-"))
        self._sensors = {
            channel: self.root / (sensor or f"28-{number:012x}")
            for number, (channel, sensor) in enumerate(ids.items(), start=1)
        }
        for sensor in self._sensors.values():
            sensor.mkdir()
        self.measure()

    @property
    def ids(self) -> dict[str, str]:
        """Each channel's sensor."""
        return {channel: sensor.name for channel, sensor in self._sensors.items()}

    def measure(self) -> None:
        """Writes what each sensor measures now."""
        moment = Moment(self._kinds, seed=self._seed, now=self._clock())
        for channel, sensor in self._sensors.items():
            value = moment.value(channel)
            degrees = min(max(float(value), -55.0), 124.9) if isinstance(value, int | float) else 0.0
            if sensor.is_dir():
                (sensor / "w1_slave").write_text(answer(degrees))

    def close(self) -> None:
        """Removes it."""
        shutil.rmtree(self.root, ignore_errors=True)


def answer(degrees: float) -> str:
    """What a DS18B20's `w1_slave` reads at that temperature, in steps of 1/16 Cel."""
    steps = round(degrees * 16)
    scratchpad = (steps & 0xFFFF).to_bytes(2, "little") + bytes([0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10])
    check = checksum(scratchpad)
    shown = " ".join(f"{byte:02x}" for byte in (*scratchpad, check))
    return f"{shown} : crc={check:02x} YES\n{shown} t={steps * 1000 // 16}\n"


def checksum(data: bytes) -> int:
    """The CRC-8 of 1-Wire (MAXIM) over the bytes."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value
