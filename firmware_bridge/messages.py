"""Level 1's messages: dataclasses to bodies of frames, and back (docs/serial.md, section 7). No I/O.

Numbers are little-endian. A `Report` and a `Call` keep their values as bytes: their kinds stand in the
board's description (`firmware_bridge.description`).
"""

import struct
from collections.abc import Callable

from firmware_bridge.frames import MAX_BODY
from firmware_bridge.message_types import (
    PROTOCOL,
    Call,
    Channel,
    Command,
    Describe,
    Event,
    FromBoard,
    Hello,
    Log,
    Message,
    Parameter,
    Report,
    Result,
    Status,
    Sync,
    Synced,
    ToBoard,
    Type,
    Who,
)
from firmware_bridge.values import READERS, read_kind, read_text, short_float, write_tagged, write_text
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value

_HELLO = struct.Struct("<BBBIBHBBI")
_CHANNEL = struct.Struct("<BBBB")
_RANGE = struct.Struct("<ff")
_COMMAND = struct.Struct("<BBBB")
_COUNTED = struct.Struct("<BHI")
_RESULT = struct.Struct("<BHB")
_SYNCED = struct.Struct("<BBI")
_DESCRIBE = struct.Struct("<BBB")
_CALL = struct.Struct("<BHIB")
_SYNC = struct.Struct("<BBIH")
_STATUSES = tuple(Status)

__all__ = [
    "PROTOCOL",
    "Call",
    "Channel",
    "Command",
    "Describe",
    "Event",
    "FromBoard",
    "Hello",
    "Log",
    "Message",
    "Parameter",
    "Report",
    "Result",
    "Status",
    "Sync",
    "Synced",
    "ToBoard",
    "Type",
    "Who",
    "call_body",
    "parse_message",
    "write_message",
]


def write_message(message: Message) -> bytes:
    """The body of a message.

    Raises:
        InvalidError: A number or a text does not fit its field, or all of it the body.
    """
    try:
        body = _write(message)
    except struct.error as error:
        raise InvalidError(f"{type(message).__name__}: {error}") from error
    if len(body) > MAX_BODY:
        raise InvalidError(
            f"{type(message).__name__}: {len(body)} bytes, at most {MAX_BODY}; shorten its texts"
        )
    return body


def call_body(call: int, boot: int, index: int, data: bytes) -> bytes:
    """The body of a `Call`, whose numbers fit their fields."""
    return _CALL.pack(0x12, call, boot, index) + data


def _write(message: Message) -> bytes:  # noqa: C901, PLR0911  # one case for each message
    match message:
        case Hello():
            head = _HELLO.pack(
                1,
                message.protocol,
                message.started,
                message.boot,
                message.rx,
                message.schema,
                message.channels,
                message.commands,
                message.millis,
            )
            return head + b"".join(map(write_text, (message.id, message.name, message.version)))
        case Channel(low=low, high=high):
            ranged = low is not None and high is not None
            head = _CHANNEL.pack(2, message.index, message.kind, ranged)
            tail = _RANGE.pack(low, high) if ranged else b""
            return head + write_text(message.name) + write_text(message.unit) + tail
        case Command(parameters=parameters):
            head = _COMMAND.pack(3, message.index, message.idempotent, len(parameters))
            tails = (bytes((each.kind, each.optional)) + write_text(each.name) for each in parameters)
            return head + write_text(message.name) + b"".join(tails)
        case Report():
            return _COUNTED.pack(4, message.seq, message.millis) + message.data
        case Event():
            head = _COUNTED.pack(5, message.seq, message.millis)
            return head + write_text(message.name) + write_text(message.text)
        case Log():
            return bytes((6, message.level & 0xFF)) + write_text(message.text)
        case Result(value=value):
            head = _RESULT.pack(7, message.call, message.status) + write_text(message.text)
            return head if value is None else head + write_tagged(value)
        case Synced():
            return _SYNCED.pack(8, message.token, message.millis)
        case Who():
            return b"\x10"
        case Describe():
            return _DESCRIBE.pack(0x11, message.command, message.index)
        case Call():
            return call_body(message.call, message.boot, message.index, message.data)
        case Sync():
            return _SYNC.pack(0x13, message.token, message.unix, message.ms)


def parse_message(body: bytes) -> Message:
    """The message in a frame's body.

    Raises:
        InvalidError: It is of no known type, too short or too long, or a field breaks its rules.
    """
    if not body:
        raise InvalidError("message: an empty body")
    read = _PARSERS.get(body[0])
    if read is None:
        raise InvalidError(f"message: no type 0x{body[0]:02X}; is iotxmpp older than the board's firmware?")
    try:
        message, end = read(body)
    except (IndexError, struct.error) as error:
        raise InvalidError(f"message 0x{body[0]:02X}: {len(body)} bytes end inside a field") from error
    if end != len(body):
        raise InvalidError(f"message 0x{body[0]:02X}: {len(body) - end} bytes after its last field")
    return message


def _hello(body: bytes) -> tuple[Message, int]:
    if body[1] != PROTOCOL:
        raise InvalidError(
            f"hello: the board speaks version {body[1]} of the protocol, this is {PROTOCOL};"
            " update the older side"
        )
    _, protocol, flags, boot, rx, schema, channels, commands, millis = _HELLO.unpack_from(body)
    own, place = read_text(body, _HELLO.size)
    name, place = read_text(body, place)
    version, place = read_text(body, place)
    return Hello(
        protocol=protocol,
        started=bool(flags & 1),
        boot=boot,
        rx=rx,
        schema=schema,
        channels=channels,
        commands=commands,
        millis=millis,
        id=own,
        name=name,
        version=version,
    ), place


def _channel(body: bytes) -> tuple[Message, int]:
    _, index, kind, flags = _CHANNEL.unpack_from(body)
    name, place = read_text(body, _CHANNEL.size)
    unit, place = read_text(body, place)
    low = high = None
    if flags & 1:
        low, high = map(short_float, _RANGE.unpack_from(body, place))
        place += _RANGE.size
    return Channel(
        index=index, kind=read_kind(kind, f"channel {index}"), name=name, unit=unit, low=low, high=high
    ), place


def _command(body: bytes) -> tuple[Message, int]:
    _, index, flags, count = _COMMAND.unpack_from(body)
    name, place = read_text(body, _COMMAND.size)
    parameters = []
    for _ in range(count):
        kind, options = body[place], body[place + 1]
        argument, place = read_text(body, place + 2)
        where = f"command {index}: argument {argument!r}"
        parameters.append(Parameter(kind=read_kind(kind, where), optional=bool(options & 1), name=argument))
    return Command(index=index, idempotent=bool(flags & 1), name=name, parameters=tuple(parameters)), place


def _report(body: bytes) -> tuple[Message, int]:
    _, seq, millis = _COUNTED.unpack_from(body)
    return Report(seq=seq, millis=millis, data=body[7:]), len(body)


def _event(body: bytes) -> tuple[Message, int]:
    _, seq, millis = _COUNTED.unpack_from(body)
    name, place = read_text(body, _COUNTED.size)
    text, place = read_text(body, place)
    return Event(seq=seq, millis=millis, name=name, text=text), place


def _log(body: bytes) -> tuple[Message, int]:
    text, place = read_text(body, 2)
    return Log(level=body[1], text=text), place


def _result(body: bytes) -> tuple[Message, int]:
    _, call, status = _RESULT.unpack_from(body)
    if status >= len(_STATUSES):
        known = len(_STATUSES) - 1
        raise InvalidError(f"result of call {call}: no status {status}; known are 0 to {known}")
    text, place = read_text(body, _RESULT.size)
    value, place = _returned(body, place, call)
    return Result(call=call, status=_STATUSES[status], text=text, value=value), place


def _returned(body: bytes, place: int, call: int) -> tuple[Value | None, int]:
    if place == len(body):
        return None, place
    return READERS[read_kind(body[place], f"result of call {call}")](body, place + 1)


def _synced(body: bytes) -> tuple[Message, int]:
    _, token, millis = _SYNCED.unpack_from(body)
    return Synced(token=token, millis=millis), _SYNCED.size


def _who(_body: bytes) -> tuple[Message, int]:
    return Who(), 1


def _describe(body: bytes) -> tuple[Message, int]:
    _, what, index = _DESCRIBE.unpack_from(body)
    if what > 1:
        raise InvalidError(f"describe: {what} is neither 0, a channel, nor 1, a command")
    return Describe(command=what == 1, index=index), _DESCRIBE.size


def _call(body: bytes) -> tuple[Message, int]:
    _, call, boot, index = _CALL.unpack_from(body)
    return Call(call=call, boot=boot, index=index, data=body[_CALL.size :]), len(body)


def _sync(body: bytes) -> tuple[Message, int]:
    _, token, unix, ms = _SYNC.unpack_from(body)
    return Sync(token=token, unix=unix, ms=ms), _SYNC.size


_PARSERS: dict[int, Callable[[bytes], tuple[Message, int]]] = {
    Type.HELLO: _hello,
    Type.CHANNEL: _channel,
    Type.COMMAND: _command,
    Type.REPORT: _report,
    Type.EVENT: _event,
    Type.LOG: _log,
    Type.RESULT: _result,
    Type.SYNCED: _synced,
    Type.WHO: _who,
    Type.DESCRIBE: _describe,
    Type.CALL: _call,
    Type.SYNC: _sync,
}
