"""Level 1's messages as values (docs/serial.md, section 7); `messages` reads and writes them."""

from dataclasses import dataclass
from enum import IntEnum

from firmware_bridge.values import Kind
from iotxmpp.readings import Value

PROTOCOL = 1
"""The version of level 1 that is spoken here."""


class Type(IntEnum):
    """The first byte of a body."""

    HELLO = 0x01
    CHANNEL = 0x02
    COMMAND = 0x03
    REPORT = 0x04
    EVENT = 0x05
    LOG = 0x06
    RESULT = 0x07
    SYNCED = 0x08
    WHO = 0x10
    DESCRIBE = 0x11
    CALL = 0x12
    SYNC = 0x13


class Status(IntEnum):
    """How a call ended."""

    DONE = 0
    FAILED = 1
    UNKNOWN_COMMAND = 2
    BAD_ARGUMENTS = 3
    BUSY = 4
    OTHER_BOOT = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """Who a board is.

    Attributes:
        protocol: The version of level 1 that it speaks.
        started: Whether it sent this by itself, at its start.
        boot: Differs from start to start.
        rx: Bytes that a whole frame to it may have.
        schema: The check of its descriptions; see `schema_of`.
        channels: How many it has.
        commands: How many it has.
        millis: Its clock, in ms since its start, modulo 2^32.
        id: Which board it is.
        name: Which kind of board it is.
        version: Its firmware's version.
    """

    protocol: int = PROTOCOL
    started: bool = False
    boot: int
    rx: int
    schema: int
    channels: int
    commands: int
    millis: int
    id: str
    name: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A channel of a board: its range is given if both ends are."""

    index: int
    kind: Kind
    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """An argument of a command, as its board describes it."""

    kind: Kind
    optional: bool = False
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command of a board."""

    index: int
    idempotent: bool = False
    name: str
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Values of channels: for each its index and its data, at the board's time."""

    seq: int
    millis: int
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened on the board; counted together with reports."""

    seq: int
    millis: int
    name: str
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """What the firmware says to people: level 0 debug, 1 info, 2 warning, 3 error."""

    level: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a call ended."""

    call: int
    status: Status
    text: str = ""
    value: Value | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """The board's clock when it took a `Sync`."""

    token: int
    millis: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Who:
    """Asks for a `Hello`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Describe:
    """Asks for the description of a channel, or of a command."""

    command: bool = False
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Asks for a command to be carried out once; `data` is made by `write_arguments`."""

    call: int
    boot: int
    index: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """Tells the time: seconds since 1970 and milliseconds."""

    token: int
    unix: int
    ms: int


FromBoard = Hello | Channel | Command | Report | Event | Log | Result | Synced
ToBoard = Who | Describe | Call | Sync
Message = FromBoard | ToBoard
