"""The truth file: which fault was on when, a JSON object a line, for whoever tests alerts."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from iotxmpp.addresses import DeviceId
from iotxmpp.agent.drivers.faults import FaultName
from iotxmpp.errors import ConfigError


class Truth:
    """Writes each change at once: what is on when the simulation ends is closed by `close`."""

    def __init__(self, file: TextIO | None) -> None:
        """Makes it; without a file it only counts."""
        self._file = file
        self.on: dict[DeviceId, FaultName] = {}

    def began(self, device: DeviceId, fault: FaultName, at: float) -> None:
        """The fault is on from that time, in seconds since 1970."""
        self.on[device] = fault
        self._write(device, fault, at, on=True)

    def ended(self, device: DeviceId, at: float) -> None:
        """Its fault, if any is on, is off again."""
        fault = self.on.pop(device, None)
        if fault is not None:
            self._write(device, fault, at, on=False)

    def close(self, at: float) -> None:
        """Every fault ends."""
        for device in list(self.on):
            self.ended(device, at)

    def _write(self, device: DeviceId, fault: FaultName, at: float, *, on: bool) -> None:
        if self._file is not None:
            line = {"time": round(at, 3), "device": device, "fault": fault, "on": on}
            self._file.write(f"{json.dumps(line)}\n")
            self._file.flush()


@contextmanager
def truth_file(path: Path | None) -> Iterator[Truth]:
    """A truth with a new file, or with none.

    Raises:
        ConfigError: The file is there already, or cannot be written.
    """
    if path is None:
        yield Truth(None)
        return
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ConfigError(f"--truth {path}: the file exists; give another, or remove it") from None
    except OSError as error:
        why = os.strerror(error.errno or errno.EIO)
        raise ConfigError(f"--truth {path}: cannot be written: {why}") from error
    with file:
        yield Truth(file)
