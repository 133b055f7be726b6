"""What a simulated device writes down by itself, outside the system, before and after each publish.

A ledger is a text file that only grows. Each line is one of:

    R                           a run of the device's process began
    P <number> <channel> <time> the reading of this number is about to be published
    D <number>                  its publish() returned: it is promised
    X <number>                  its publish() raised: it is refused

Numbers count from 1 through the whole life of the device. A reading's value is made from its number alone.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

KINDS: dict[str, Literal["i", "f", "s"]] = {"count": "i", "alarm": "i", "level": "f", "note": "s"}
"""The channels of a simulated device, with the kinds of their values: int, float, text."""

Value = int | float | str
State = Literal["planned", "promised", "refused"]


def value_of(channel: str, number: int) -> Value:
    """The value that the reading of this number has."""
    match KINDS[channel]:
        case "i":
            return number
        case "f":
            return number + 0.25
        case "s":
            return f'note "{number}" <&>'


def number_of(channel: str, value: Value) -> int | None:
    """The number of the reading that has this value; None if no reading of a ledger has it."""
    try:
        number = int(value.split('"')[1]) if isinstance(value, str) else int(value)
        matches = value_of(channel, number) == value
    except (KeyError, IndexError, ValueError, OverflowError):
        return None
    return number if matches else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A reading that is about to be published."""

    number: int
    channel: str
    time: float


class Ledger:
    """A device's ledger, open for writing; one that its process left in the middle of a line is mended.

    Attributes:
        next: The number of the next reading.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        text = path.read_bytes()
        os.ftruncate(self._file, text.rfind(b"\n") + 1)
        self.next = 1 + max((entry.number for run in read(path) for entry in run.entries.values()), default=0)
        self._write("R\n")

    def plan(self, readings: Sequence[Planned]) -> None:
        """Writes readings down, on the disk, before they are published."""
        self._write("".join(f"P {each.number} {each.channel} {each.time!r}\n" for each in readings))
        os.fsync(self._file)
        self.next = readings[-1].number + 1

    def promised(self, number: int) -> None:
        """Publish returned."""
        self._write(f"D {number}\n")

    def refused(self, number: int) -> None:
        """Publish raised."""
        self._write(f"X {number}\n")

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._file, data) :]


@dataclass(kw_only=True, slots=True)
class Entry:
    """A reading in a ledger; `planned` is one of which nobody knows whether it was accepted."""

    number: int
    channel: str
    time: float
    state: State = "planned"


@dataclass(kw_only=True, slots=True)
class Run:
    """One run of a device's process: its readings by number, ascending."""

    entries: dict[int, Entry] = field(default_factory=dict)

    @property
    def accepted(self) -> list[Entry]:
        """Those that were not refused, in order: the first of them has the number 1 in the run's epoch."""
        return [entry for entry in self.entries.values() if entry.state != "refused"]


def read(path: Path) -> list[Run]:
    """The runs of a ledger; its last line may be torn.

    Raises:
        ValueError: It is no ledger.
    """
    runs: list[Run] = []
    for line in _lines(path):
        what, *fields = line.split()
        if what == "R":
            runs.append(Run())
        elif what == "P":
            number = int(fields[0])
            runs[-1].entries[number] = Entry(number=number, channel=fields[1], time=float(fields[2]))
        elif what in ("D", "X"):
            runs[-1].entries[int(fields[0])].state = "promised" if what == "D" else "refused"
        else:
            raise ValueError(f"{path}: {line!r} is no line of a ledger")
    return runs


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii") as file:
        for line in file:
            if line.endswith("\n"):
                yield line
