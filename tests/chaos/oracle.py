"""The judge: compares a store with the ledgers of the devices. It shares no code with what it judges.

The store must hold each promised reading once, as it was made, but for those that the device declared lost by
a gap record. A reading whose publish() never returned may be there or not. By epoch and number the ledger's
numbers ascend: the k-th reading that a run of a device accepted has the number k of that run's epoch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from tests.chaos.ledger import KINDS, Entry, Run, Value, number_of, read

SAME_TIME = 2e-6
"""Seconds by which a time may change on the wire."""

MOST_FAULTS = 20
"""Faults that a verdict names for each device."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A row of the store."""

    epoch: str
    seq: int
    channel: str
    kind: str
    value: Value
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A gap record in the store."""

    epoch: str
    first: int
    last: int
    reason: str


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What the judge found; right if there are no faults.

    Attributes:
        promised: Readings that were promised.
        stored: Rows of the store.
        lost: Promised readings that were declared lost.
        unknown: Readings whose publish() never returned.
        unknown_stored: Those of them that are in the store.
        faults: What is wrong, a sentence each.
    """

    promised: int = 0
    stored: int = 0
    lost: int = 0
    unknown: int = 0
    unknown_stored: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        """Takes in the verdict on another device."""
        self.promised += other.promised
        self.stored += other.stored
        self.lost += other.lost
        self.unknown += other.unknown
        self.unknown_stored += other.unknown_stored
        self.faults += other.faults

    def __str__(self) -> str:
        head = "RIGHT" if not self.faults else f"WRONG, {len(self.faults)} faults"
        counts = (
            f"{self.promised} promised, {self.stored} stored, {self.lost} declared lost, "
            f"{self.unknown_stored} of {self.unknown} unknown stored"
        )
        return "\n  ".join([f"{head}: {counts}", *self.faults])


def judge(
    ledgers: Mapping[str, Path], url: str, *, may_lose: Iterable[str] = (), extra: bool = True
) -> Verdict:
    """Compares a store with all ledgers.

    Args:
        ledgers: The ledger of each device.
        url: The store's SQLAlchemy URL.
        may_lose: The devices that may declare readings lost; others have room for all.
        extra: Whether the store's own accounts (cursors, islands, other devices) are checked too.
    """
    verdict = Verdict()
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            for device, path in ledgers.items():
                rows, lost = _rows(connection, device), _lost(connection, device)
                verdict.add(judge_device(device, read(path), rows, lost, may_lose=device in may_lose))
                if extra:
                    verdict.faults += _cursor_faults(connection, device)
            if extra:
                verdict.faults += _strangers(connection, ledgers)
    finally:
        engine.dispose()
    return verdict


def judge_device(
    device: str, runs: Sequence[Run], rows: Iterable[Stored], lost: Sequence[Lost], *, may_lose: bool = False
) -> Verdict:
    """Compares the rows of one device, in order of epoch and number, with its ledger."""
    judging = _Judging(runs)
    for row in rows:
        judging.take(row)
    judging.take_lost(lost, may_lose=may_lose)
    judging.finish()
    verdict = judging.verdict
    faults = [f"{device}: {fault}" for fault in verdict.faults]
    if len(faults) > MOST_FAULTS:
        faults[MOST_FAULTS:] = [f"{device}: and {len(faults) - MOST_FAULTS} more"]
    verdict.faults = faults
    return verdict


class _Judging:
    def __init__(self, runs: Sequence[Run]) -> None:
        self.verdict = Verdict()
        self._runs = runs
        self._entries: dict[int, tuple[int, Entry]] = {}
        self._place: dict[int, int] = {}
        for index, run in enumerate(runs):
            self._entries |= {number: (index, entry) for number, entry in run.entries.items()}
            self._place |= {entry.number: place for place, entry in enumerate(run.accepted, 1)}
        self._seen: dict[int, Stored] = {}
        self._run_of: dict[str, int] = {}
        self._lost: set[tuple[str, int]] = set()

    def take(self, row: Stored) -> None:
        self.verdict.stored += 1
        where = f"{row.epoch}.{row.seq}"
        number = number_of(row.channel, row.value)
        if number is None or number not in self._entries:
            self._fault(f"{where}: {row.channel} {row.value!r} is in no ledger")
            return
        if number in self._seen:
            first = self._seen[number]
            self._fault(f"reading {number} is stored twice: {first.epoch}.{first.seq} and {where}")
            return
        self._seen[number] = row
        index, entry = self._entries[number]
        if (row.channel, row.kind) != (entry.channel, KINDS[entry.channel]):
            self._fault(f"{where}: reading {number} of {entry.channel} is a {row.kind} of {row.channel}")
        if abs(row.time - entry.time) > SAME_TIME:
            self._fault(f"{where}: reading {number} is of {entry.time!r}, stored as of {row.time!r}")
        if entry.state == "refused":
            self._fault(f"{where}: reading {number} was refused, and is stored")
            return
        if self._run_of.setdefault(row.epoch, index) != index:
            self._fault(f"{where}: reading {number} of run {index + 1} is in the epoch of another run")
        elif self._place[number] != row.seq:
            self._fault(f"{where}: reading {number} is number {self._place[number]} of its run")

    def take_lost(self, lost: Sequence[Lost], *, may_lose: bool) -> None:
        if lost and not may_lose:
            self._fault(f"{len(lost)} gap records, and nothing had to be lost: {lost[0]}")
        for gap in lost:
            self._lost |= {(gap.epoch, seq) for seq in range(gap.first, gap.last + 1)}
        both = self._lost & {(row.epoch, row.seq) for row in self._seen.values()}
        if both:
            epoch, seq = min(both)
            self._fault(f"{len(both)} readings are stored and declared lost, such as {epoch}.{seq}")

    def finish(self) -> None:
        epochs: dict[int, list[str]] = {}
        for epoch, index in self._run_of.items():
            epochs.setdefault(index, []).append(epoch)
        # A run of which nothing was stored can only be lost whole, under an epoch that has no rows.
        silent = sorted({epoch for epoch, _ in self._lost} - self._run_of.keys())
        for index, run in enumerate(self._runs):
            names = epochs.get(index, silent)
            if len(epochs.get(index, ())) > 1:
                self._fault(f"run {index + 1} has several epochs: {', '.join(names)}")
            missing = [entry.number for entry in run.accepted if not self._settled(entry, names)]
            if missing:
                self._fault(
                    f"run {index + 1}: {len(missing)} promised readings are not stored: {_short(missing)}"
                )

    def _settled(self, entry: Entry, epochs: Sequence[str]) -> bool:
        stored = entry.number in self._seen
        if entry.state == "planned":
            self.verdict.unknown += 1
            self.verdict.unknown_stored += stored
            return True
        self.verdict.promised += 1
        if stored:
            return True
        declared = any((epoch, self._place[entry.number]) in self._lost for epoch in epochs)
        self.verdict.lost += declared
        return declared

    def _fault(self, text: str) -> None:
        self.verdict.faults.append(text)


def _short(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown} … {numbers[-1]}"


_ROWS = sa.text("""
    SELECT e.epoch, r.seq, c.name, r.kind, r.number, r.text, r.time
    FROM iotxmpp_readings r
    JOIN iotxmpp_epochs e ON e.id = r.epoch_id
    JOIN iotxmpp_channels c ON c.id = r.channel_id
    JOIN iotxmpp_devices d ON d.id = e.device_id
    WHERE d.name = :device
    ORDER BY e.id, r.seq
""")
_LOST = sa.text("""
    SELECT e.epoch, g.first, g.last, g.reason
    FROM iotxmpp_gaps g
    JOIN iotxmpp_epochs e ON e.id = g.epoch_id
    JOIN iotxmpp_devices d ON d.id = e.device_id
    WHERE d.name = :device
    ORDER BY e.id, g.first
""")
_ISLANDS = sa.text("""
    SELECT e.epoch, i.first, i.last, e.contiguous
    FROM iotxmpp_islands i
    JOIN iotxmpp_epochs e ON e.id = i.epoch_id
    JOIN iotxmpp_devices d ON d.id = e.device_id
    WHERE d.name = :device
""")
_CURSORS = sa.text("""
    SELECT e.epoch, e.contiguous, MAX(r.seq)
    FROM iotxmpp_epochs e
    JOIN iotxmpp_devices d ON d.id = e.device_id
    LEFT JOIN iotxmpp_readings r ON r.epoch_id = e.id
    WHERE d.name = :device
    GROUP BY e.epoch, e.contiguous
""")
_REJECTED = sa.text("SELECT code, error FROM iotxmpp_rejections WHERE device = :device")
_DEVICES = sa.text("SELECT name FROM iotxmpp_devices")
_COUNTS = sa.text("""
    SELECT d.name, COUNT(*) AS readings
    FROM iotxmpp_readings r
    JOIN iotxmpp_epochs e ON e.id = r.epoch_id
    JOIN iotxmpp_devices d ON d.id = e.device_id
    GROUP BY d.name
""")


def _rows(connection: sa.Connection, device: str) -> Iterator[Stored]:
    for epoch, seq, channel, kind, number, text, time in connection.execute(_ROWS, {"device": device}):
        value = text if kind == "s" else int(number) if kind == "i" else number
        yield Stored(epoch=epoch, seq=seq, channel=channel, kind=kind, value=value, time=time)


def _lost(connection: sa.Connection, device: str) -> list[Lost]:
    rows = connection.execute(_LOST, {"device": device})
    return [Lost(epoch=epoch, first=first, last=last, reason=reason) for epoch, first, last, reason in rows]


def _cursor_faults(connection: sa.Connection, device: str) -> Iterator[str]:
    for epoch, first, last, contiguous in connection.execute(_ISLANDS, {"device": device}):
        yield f"{device}: epoch {epoch} has {first} to {last} beyond its cursor, which is at {contiguous}"
    for epoch, contiguous, highest in connection.execute(_CURSORS, {"device": device}):
        if (highest or 0) > contiguous:
            yield f"{device}: epoch {epoch} has its cursor at {contiguous}, and readings up to {highest}"
    for code, error in connection.execute(_REJECTED, {"device": device}):
        yield f"{device}: an item was rejected: {code}: {error}"


def _strangers(connection: sa.Connection, ledgers: Mapping[str, Path]) -> Iterator[str]:
    for (name,) in connection.execute(_DEVICES):
        if name not in ledgers:
            yield f"{name}: is in the store, and is no device of this run"


def stored_counts(url: str) -> dict[str, int]:
    """How many readings of each device the store has now; empty while there is no store yet."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return {row.name: row.readings for row in connection.execute(_COUNTS)}
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):
        return {}
    finally:
        engine.dispose()


def _engine(url: str) -> sa.Engine:
    parts = sa.make_url(url)
    return sa.create_engine(
        parts.set(drivername="postgresql+psycopg") if parts.drivername == "postgresql" else parts
    )
