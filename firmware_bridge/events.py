"""What a session tells, at both levels, and the face that both levels share. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from firmware_bridge.description import Description
from iotxmpp.readings import Value


class Outcome(StrEnum):
    """How a call ended.

    All but `UNKNOWN` are certain. `UNKNOWN` means that the command was sent and may have run, once.
    """

    DONE = "done"
    FAILED = "failed"
    UNKNOWN_COMMAND = "unknown-command"
    BAD_ARGUMENTS = "bad-arguments"
    NOT_RUN = "not-run"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Greeted:
    """The board said who it is; at level 0 all texts may be empty, for a sketch that does not.

    Attributes:
        level: 0 for text lines, 1 for frames.
        id: Which board it is.
        name: Which kind of board it is.
        version: Its firmware's version.
        boot: Differs from start to start; None where the board does not tell.
    """

    level: int
    id: str = ""
    name: str = ""
    version: str = ""
    boot: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardChanged:
    """Another board, or other firmware, answers now; its `Greeted` follows."""

    was: Greeted


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """The board's channels and commands are known, from itself or from what is remembered."""

    description: Description
    remembered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """Values by channel.

    Attributes:
        values: All of them finite.
        at: Seconds since 1970: by the board's clock where it is known, else when they came.
    """

    values: Mapping[str, Value]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """An event of the board, at seconds since 1970."""

    name: str
    text: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """What the firmware says to people: level 0 debug, 1 info, 2 warning, 3 error."""

    level: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """How a call ended; there is exactly one for each call.

    Attributes:
        token: What `call` returned.
        outcome: How it ended.
        text: For people.
        value: What it returned, at level 1.
        values: What it returned by name, at level 0.
    """

    token: int
    outcome: Outcome
    text: str = ""
    value: Value | None = None
    values: Mapping[str, Value] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarted:
    """The board started again: its counters begin anew."""

    boot: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """So many reports or events were sent by the board and did not come."""

    missing: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """Frames or lines were damaged; one event tells all of one `receive`.

    Attributes:
        count: How many.
        size: Their bytes.
        why: What was wrong with the first.
    """

    count: int
    size: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """Values that are no numbers (NaN, infinite), by the names of their channels."""

    channels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The board cannot be served as it is; the text says why. The session stays open, for its next hello."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """The board does not answer any more; open the port again, then the session."""

    why: str


SessionEvent = (
    Greeted
    | BoardChanged
    | Described
    | Sampled
    | Happened
    | Logged
    | Answered
    | Restarted
    | Gap
    | Damaged
    | Dropped
    | Refused
    | Lost
)

MOST_KEPT = 256
"""Events that are kept at most while it is not clear who hears them."""

_PLENTIFUL = (Sampled, Happened, Logged, Gap, Damaged, Dropped)


def keeping(events: Sequence[SessionEvent], more: Sequence[SessionEvent]) -> list[SessionEvent]:
    """What is kept of events: the newest, and of the others what says who the board is and what it has."""
    every = [*events, *more]
    over = len(every) - MOST_KEPT
    if over <= 0:
        return every
    found: list[SessionEvent] = []
    for event in every:
        if over > 0 and isinstance(event, _PLENTIFUL):
            over -= 1
        else:
            found.append(event)
    return found[-MOST_KEPT:]


@dataclass(kw_only=True, slots=True)
class Counts:
    """What a session counted since it was made.

    Attributes:
        frames: Good frames.
        lines: Text lines that were understood.
        damaged: Damaged frames and lines.
        gaps: Reports and events that did not come.
        repeated: Reports and events that came twice; they were dropped.
        dropped: Values that are no numbers.
        early: Reports that were dropped, as the board was not yet described.
        unknown: Good frames of types that are not known here.
        retries: Frames that were sent again.
        restarts: Starts of the board while it was known.
    """

    frames: int = 0
    lines: int = 0
    damaged: int = 0
    gaps: int = 0
    repeated: int = 0
    dropped: int = 0
    early: int = 0
    unknown: int = 0
    retries: int = 0
    restarts: int = 0


class Session(Protocol):
    """One board on one connection, without I/O; both levels have this face.

    `now` is a clock in seconds that never goes back, such as `time.monotonic()`. After each of `open`,
    `receive`, `call` and `tick`, send what `outgoing` gives, and call `tick` at `next_timeout`.
    """

    @property
    def board(self) -> Greeted | None:
        """Who the board is; None before its first word on this connection."""
        ...

    @property
    def description(self) -> Description | None:
        """What the board has; None before it is known, and always at level 0."""
        ...

    @property
    def counts(self) -> Counts:
        """What was counted so far."""
        ...

    def open(self, now: float) -> list[SessionEvent]:
        """Begins on a new connection; calls that were not answered on the old one end."""
        ...

    def close(self, now: float) -> list[SessionEvent]:
        """The connection is gone; calls that were not answered end."""
        ...

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Takes what came; reads of up to 16,384 bytes are meant."""
        ...

    def call(self, name: str, arguments: Mapping[str, Value], now: float, timeout: float = 10.0) -> int:
        """Asks the board to carry out a command, once; an `Answered` with the returned token follows.

        Args:
            name: The command.
            arguments: Its arguments by name.
            now: The time.
            timeout: Seconds after which it ends, with whatever is known.

        Raises:
            UnknownCommandError: The board has no such command.
            ArgumentsError: The arguments do not fit it, or the board's buffer.
            CommandError: Too many calls wait already.
            LinkDownError: The session is not open, or lost.
        """
        ...

    def outgoing(self) -> bytes:
        """What is to be sent now; it is given once."""
        ...

    def next_timeout(self) -> float | None:
        """When `tick` is due, by the clock of `now`; None for never."""
        ...

    def tick(self, now: float) -> list[SessionEvent]:
        """Does what is due."""
        ...
