"""A simulated microcontroller that speaks both levels as a real one does. No I/O.

It has the face of a session seen from the other side: `receive`, `outgoing`, `next_timeout`, `tick`. A wire
with faults between the two is in `firmware_bridge.noise`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from firmware_bridge.crc import crc16
from firmware_bridge.description import schema_of
from firmware_bridge.frames import Frame, Splitter, encode_frame
from firmware_bridge.lines import Values, has_check, parse_line
from firmware_bridge.messages import (
    Call,
    Channel,
    Command,
    Describe,
    Event,
    Hello,
    Log,
    Message,
    Parameter,
    Report,
    Result,
    Status,
    Sync,
    Synced,
    Who,
    parse_message,
    write_message,
)
from firmware_bridge.values import Kind, read_arguments, write_value
from iotxmpp.errors import CommandFailedError, InvalidError
from iotxmpp.readings import Value

RX_BUFFER = 64
"""Bytes that an Uno keeps; what comes on top before the sketch reads is gone."""

_WRAP = 1 << 32
_WHOLE_FRAME = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedCommand:
    """A command of a simulated board.

    Attributes:
        name: Its name.
        run: Does it, with its arguments by name; raises CommandFailedError. None answers without a value.
        parameters: Its arguments, in their order.
        idempotent: Whether doing it twice is doing it once.
        lasts: Seconds until its result is there; the board goes on meanwhile.
    """

    name: str
    run: Callable[[Mapping[str, Value]], Value | None]
    parameters: tuple[Parameter, ...] = ()
    idempotent: bool = False
    lasts: float = 0.0


@dataclass(frozen=True, slots=True)
class _Running:
    call: int
    command: SimulatedCommand
    arguments: Mapping[str, Value]
    ends: float


CHANNELS = (
    Channel(index=0, kind=Kind.FLOAT, name="temperature", unit="Cel", low=-40.0, high=85.0),
    Channel(index=1, kind=Kind.FLOAT, name="humidity", unit="%RH", low=0.0, high=100.0),
)
"""What a simulated board has unless told otherwise: a small weather station."""


def ramp(channel: Channel, number: int) -> Value:
    """The value of a channel in its report of that number: easy to tell right from wrong."""
    match channel.kind:
        case Kind.FLOAT:
            return 20.0 + (number % 64) / 4
        case Kind.INT:
            return number
        case Kind.BOOL:
            return number % 2 == 1
        case _:
            return f"n{number}"


class SimulatedBoard:
    """A board with a sketch.

    Args:
        level: 0 prints lines, 1 sends frames.
        id: Which board it is.
        name: Which kind of board it is.
        version: Its firmware's version.
        channels: What it measures.
        commands: What it does.
        value: Gives a channel's value in the report of that number.
        every: Seconds between two reports; 0 for none.
        checked: Whether its lines end with a check, at level 0.
        boot: The number of its first start.
        millis: What its counter begins at.

    Attributes:
        ran: Every command that was run, with its arguments, over all starts.
        silent: While true it neither reads nor sends, as if its cable were cut.
        overflowed: Bytes that its buffer could not take.
        unix: The time that the host told it last, in seconds since 1970; 0 for none.
    """

    def __init__(  # noqa: PLR0913  # what a board is made of, each with a default
        self,
        *,
        level: int = 1,
        id: str = "sim-1",  # noqa: A002  # the protocol's own word
        name: str = "sim",
        version: str = "1.0.0",
        channels: Sequence[Channel] = CHANNELS,
        commands: Sequence[SimulatedCommand] = (),
        value: Callable[[Channel, int], Value] = ramp,
        every: float = 1.0,
        checked: bool = False,
        boot: int = 1,
        millis: int = 0,
    ) -> None:
        self.level, self.id, self.name, self.version = level, id, name, version
        self.channels, self.commands = tuple(channels), tuple(commands)
        self.value, self.every, self.checked, self.boot = value, every, checked, boot
        self.ran: list[tuple[str, dict[str, Value]]] = []
        self.silent = False
        self.overflowed = 0
        self.unix = 0.0
        self._millis = millis
        self._out = bytearray()
        self._buffer = bytearray()
        self._splitter = Splitter()
        self._started_at: float | None = None
        self._next_report = 0.0
        self._number = 0
        self._seq = 0
        self._kept: Result | None = None
        self._running: _Running | None = None
        self._unasked: _Running | None = None

    def start(self, now: float) -> None:
        """Switches it on: it says hello by itself."""
        self._started_at = now
        self._next_report = now + self.every
        self._buffer.clear()
        self._splitter.reset()
        self._seq = 0
        self._kept = self._running = None
        self._hello(now, started=True)

    def restart(self, now: float) -> None:
        """Resets it, in the middle of whatever it does."""
        self.boot += 1
        self._millis = 0
        self._out.clear()
        self.start(now)

    def receive(self, data: bytes, now: float) -> None:
        """Takes bytes into its buffer, as far as they fit; they are read at the next `tick`."""
        del now
        if self.silent:
            return
        room = RX_BUFFER - len(self._buffer)
        self._buffer += data[:room]
        self.overflowed += max(0, len(data) - room)

    def outgoing(self) -> bytes:
        """What it sends now."""
        data = b"" if self.silent else bytes(self._out)
        self._out.clear()
        return data

    def next_timeout(self) -> float | None:
        """When `tick` is due, though nothing comes."""
        times = [self._next_report] if self.every and self._started_at is not None else []
        if self._running is not None:
            times.append(self._running.ends)
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """One turn of its loop: reads what came, does it, reports if that is due."""
        if self._started_at is None:
            self.start(now)
        data = bytes(self._buffer)
        self._buffer.clear()
        for piece in self._splitter.feed(data):
            if isinstance(piece, Frame) and self.level == 1:
                self._frame(piece.body, now)
            elif isinstance(piece, bytes) and self.level == 0:
                self._line(piece, now)
        if self._running is not None and now >= self._running.ends:
            done, self._running = self._running, None
            result = self._carry_out(done.call, done.command, done.arguments)
            if done is not self._unasked:
                self._answer(result)
        if self.every and now >= self._next_report:
            self._next_report = max(self._next_report + self.every, now)
            self.report(now)

    def report(self, now: float) -> None:
        """Sends the values of all channels."""
        self._number += 1
        values = [self.value(each, self._number) for each in self.channels]
        if self.level == 0:
            self._print(
                " ".join(
                    f"{each.name}={_printed(value)}"
                    for each, value in zip(self.channels, values, strict=True)
                )
            )
            return
        data = b"".join(
            bytes((index,)) + write_value(channel.kind, value)
            for index, (channel, value) in enumerate(zip(self.channels, values, strict=True))
        )
        self._send(Report(seq=self._next_seq(), millis=self._clock(now), data=data))

    def happen(self, name: str, text: str, now: float) -> None:
        """Sends an event."""
        if self.level == 0:
            self._print(f"!{name} {text}".rstrip())
        else:
            self._send(Event(seq=self._next_seq(), millis=self._clock(now), name=name, text=text))

    def log(self, text: str, level: int = 1) -> None:
        """Says something to people."""
        if self.level == 0:
            self._print(f"# {text}")
        else:
            self._send(Log(level=level, text=text))

    def print(self, text: str) -> None:
        """Prints a line as it is, at either level."""
        self._out += text.encode() + b"\r\n"

    def bodies(self) -> list[bytes]:
        """Its descriptions, as CHANNEL and COMMAND carry them."""
        return [
            *(
                write_message(
                    Channel(index=index, kind=c.kind, name=c.name, unit=c.unit, low=c.low, high=c.high)
                )
                for index, c in enumerate(self.channels)
            ),
            *(
                write_message(
                    Command(index=index, idempotent=c.idempotent, name=c.name, parameters=c.parameters)
                )
                for index, c in enumerate(self.commands)
            ),
        ]

    def _clock(self, now: float) -> int:
        started = now if self._started_at is None else self._started_at
        return (self._millis + int((now - started) * 1000)) % _WRAP

    def _next_seq(self) -> int:
        seq = self._seq
        self._seq = (seq + 1) & 0xFFFF
        return seq

    def _send(self, message: Message) -> None:
        self._out += encode_frame(write_message(message))

    def _print(self, text: str) -> None:
        body = text.encode()
        self._out += (b"%b *%04X\r\n" % (body, crc16(body))) if self.checked else body + b"\r\n"

    def _hello(self, now: float, *, started: bool) -> None:
        if self.level == 0:
            self._print(f"@hello id={self.id} name={self.name} version={self.version} boot={self.boot}")
            return
        self._send(
            Hello(
                started=started,
                boot=self.boot,
                rx=_WHOLE_FRAME,
                schema=schema_of(self.bodies()),
                channels=len(self.channels),
                commands=len(self.commands),
                millis=self._clock(now),
                id=self.id,
                name=self.name,
                version=self.version,
            )
        )

    def _frame(self, body: bytes, now: float) -> None:
        try:
            message = parse_message(body)
        except InvalidError:
            return
        match message:
            case Who():
                self._kept, self._unasked = None, self._running  # A new host may begin with any number.
                self._hello(now, started=False)
            case Describe(command=command, index=index):
                bodies = self.bodies()
                place = index + (len(self.channels) if command else 0)
                if index < len(self.commands if command else self.channels):
                    self._out += encode_frame(bodies[place])
            case Sync():
                self.unix = message.unix + message.ms / 1000
                self._send(Synced(token=message.token, millis=self._clock(now)))
            case Call():
                self._call(message, now)
            case _:
                return

    def _call(self, call: Call, now: float) -> None:
        """The same number gets the same answer, and no second run."""
        if call.boot != self.boot:
            self._send(Result(call=call.call, status=Status.OTHER_BOOT))
        elif self._running is not None:
            self._send(Result(call=call.call, status=Status.BUSY))
        elif self._kept is not None and self._kept.call == call.call:
            self._send(self._kept)
        elif call.index >= len(self.commands):
            self._answer(Result(call=call.call, status=Status.UNKNOWN_COMMAND))
        else:
            self._begin(call, self.commands[call.index], now)

    def _begin(self, call: Call, command: SimulatedCommand, now: float) -> None:
        try:
            values = read_arguments((each.kind for each in command.parameters), call.data)
        except InvalidError as error:
            self._answer(Result(call=call.call, status=Status.BAD_ARGUMENTS, text=str(error)[:60]))
            return
        names = (each.name for each in command.parameters)
        arguments = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        if command.lasts:
            self._running = _Running(call.call, command, arguments, now + command.lasts)
        else:
            self._answer(self._carry_out(call.call, command, arguments))

    def _carry_out(self, call: int, command: SimulatedCommand, arguments: Mapping[str, Value]) -> Result:
        self.ran.append((command.name, dict(arguments)))
        try:
            value = command.run(arguments)
        except CommandFailedError as error:
            return Result(call=call, status=Status.FAILED, text=str(error)[:60])
        return Result(call=call, status=Status.DONE, value=value)

    def _answer(self, result: Result) -> None:
        self._kept = result
        if self.level == 1:
            self._send(result)
            return
        value = "" if result.value is None else f" value={_printed(result.value)}"
        done = result.status is Status.DONE
        self._print(f"<{result.call} ok{value}" if done else f"<{result.call} error {result.text}")

    def _line(self, line: bytes, now: float) -> None:
        """A sketch's own small parser: `>number name argument=value …`; all else it does not know."""
        try:
            line = line.rstrip(b"\r\n")
            if has_check(line):
                _check(line)
                line = line[:-6]
            number, _, rest = line.strip().removeprefix(b">").partition(b" ")
            name, _, words = rest.partition(b" ")
            if line[:1] != b">" or not number.isdigit():
                return
            parsed = parse_line(words)
        except InvalidError:
            return
        if number == b"0" and name == b"hello":
            self._hello(now, started=False)
            return
        arguments = parsed.values if isinstance(parsed, Values) else {}
        known = {each.name.encode(): each for each in self.commands}
        if name not in known:
            self._print(f"<{int(number)} error unknown command")
        else:
            self._answer(self._carry_out(int(number), known[name], arguments))


def _check(line: bytes) -> None:
    if crc16(line[:-6]) != int(line[-4:], 16):
        raise InvalidError("line: damaged")


def _printed(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)
