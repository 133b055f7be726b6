"""Level 0's side of the host: a sketch that prints lines, without I/O (docs/serial.md, sections 2 to 4)."""

import time
from collections.abc import Callable, Mapping

from firmware_bridge.basis import Basis
from firmware_bridge.events import (
    BoardChanged,
    Dropped,
    Greeted,
    Happened,
    Logged,
    Outcome,
    Restarted,
    Sampled,
    SessionEvent,
)
from firmware_bridge.frames import Damage, Frame, Splitter
from firmware_bridge.lines import (
    Answer,
    Event,
    Identity,
    Line,
    Log,
    Values,
    cut_by_hello,
    has_check,
    parse_line,
    write_command,
)
from firmware_bridge.messages import Type
from firmware_bridge.numbering import MOST_NUMBER, OF_THIS_PROGRAM, Numbering
from iotxmpp.errors import ArgumentsError, InvalidError
from iotxmpp.readings import Value

DEFAULT_RX = 60
"""Bytes that a line to a sketch has at most, unless its hello says `rx`: an Uno keeps 64."""

HELLO_WAITS = (2.0, 4.0)
"""Seconds after which a sketch that has not said who it is is asked again."""

_MOST_DIGITS = 10
_SAME_START = 3.0
_ANSWERED_WITHIN = 60.0


class TextSession(Basis):
    """A board that speaks text lines; see `firmware_bridge.events.Session` for its face.

    A command is sent once, as a sketch does not know a line that comes twice; `description` stays None.

    Args:
        wall: Gives seconds since 1970.
        first_call: The number of the first command; unless given, they begin anywhere, and go on from the
            session before, so that a late answer is not taken for that of another command.

    Attributes:
        frames_seen: Whether the board sent a hello as a frame: it speaks level 1.
        frames_promised: Whether its hello as a line says that it speaks level 1.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, first_call: int | None = None) -> None:
        super().__init__(wall)
        self._numbers = OF_THIS_PROGRAM if first_call is None else Numbering(first_call)
        self._splitter = Splitter()
        self._first = True
        self._checked = False
        self._rx = DEFAULT_RX
        self._waits: list[float] = []
        self._greeted_at: float | None = None
        self._asked: list[float] = []
        self._passed = 0
        self._number = 0
        self.frames_seen = False
        self.frames_promised = False

    def open(self, now: float) -> list[SessionEvent]:
        """Begins on a new connection: asks the sketch who it is."""
        self._end("the connection was opened anew")
        self._open = self._first = True
        self._waits = [now + wait for wait in HELLO_WAITS]
        self._ask(now)
        return self._take()

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Takes what came."""
        if not self._open:
            return []
        damage: list[Damage] = []
        for piece in self._splitter.feed(data):
            if isinstance(piece, bytes):
                damage += self._piece(piece, now)
            elif isinstance(piece, Frame):
                self.counts.frames += 1
                self.frames_seen = self.frames_seen or piece.body[0] == Type.HELLO
            elif not self._first:
                damage.append(piece)
        self._tell_damage(damage)
        self._advance(now)
        return self._take()

    def next_timeout(self) -> float | None:
        """When `tick` is due."""
        times = [*self._waits[:1], self._calls.next_limit()]
        return min((each for each in times if each is not None), default=None) if self._open else None

    def tick(self, now: float) -> list[SessionEvent]:
        """Does what is due: asks again who is there, ends what took too long."""
        if not self._open:
            return []
        self._events += self._calls.expire(now)
        if self._waits and now >= self._waits[0]:
            self._waits = [each for each in self._waits if each > now]
            self._ask(now)
        self._advance(now)
        return self._take()

    def _ask(self, now: float) -> None:
        self._asked.append(now)
        # The line end before it ends whatever stands in the sketch's buffer.
        self._out += b"\n" + write_command(0, "hello", {}, checked=self._checked)

    def _end(self, why: str) -> None:
        super()._end(why)
        self._splitter.reset()
        self._waits = []
        self._asked = []
        self._checked = self.frames_seen = self.frames_promised = False
        self._rx = DEFAULT_RX
        self._greeted_at = None

    def _check(self, name: str, arguments: Mapping[str, Value]) -> None:
        # With the longest number, so that it is no matter of luck which command fits.
        self._written(name, arguments, MOST_NUMBER)

    def _written(self, name: str, arguments: Mapping[str, Value], number: int) -> bytes:
        line = write_command(number, name, arguments, checked=self._checked)
        if len(line) > self._rx:
            raise ArgumentsError(
                f"command {name}: its line has {len(line)} bytes, the sketch takes {self._rx};"
                " shorten the texts, or say rx= in the sketch's hello"
            )
        return line

    def _advance(self, now: float) -> None:
        """Sends the next call, if none is out."""
        del now
        while (call := self._calls.next()) is not None:
            self._number = self._numbers.next()
            self._passed = len(self._asked)
            try:
                self._out += self._written(call.name, call.arguments, self._number)
            except ArgumentsError as error:
                self._events += self._calls.end(Outcome.BAD_ARGUMENTS, str(error))

    def _piece(self, piece: bytes, now: float) -> list[Damage]:
        """Takes what came up to a line end: a line, or the beginning of one and the hello of a restart."""
        damage: list[Damage] = []
        cut = cut_by_hello(piece, self._known()) if b"@hello" in piece else None
        if cut is not None:
            if not self._first:  # else it may be the end of a line
                damage.append(Damage(len(cut[0]), f"line {cut[0][:80]!r}: a restart cut it off"))
            piece = cut[1]
        problem = self._line(piece, now)
        if problem:
            damage.append(Damage(len(piece), problem))
        return damage

    def _known(self) -> tuple[str, str] | None:
        """Id and name of the board, if it said them since the opening."""
        if self.board is None or not (self.board.id or self.board.name):
            return None
        return self.board.id, self.board.name

    def _line(self, line: bytes, now: float) -> str:
        """Takes a line; why it is damaged, or nothing."""
        first, self._first = self._first, False
        checked = has_check(line)
        if first and not checked and not line.startswith((b"@", b"#", b"!")):
            return ""  # It may be the end of a line.
        dropped: dict[str, str] = {}
        try:
            parsed = parse_line(line, dropped=dropped)
        except InvalidError as error:
            return str(error)
        if checked:
            self._checked = True
        elif self._checked and isinstance(parsed, Values | Event | Answer | Identity):
            return f"line {line[:80]!r}: it has no check, as those before it had"
        self.counts.dropped += len(dropped)
        if dropped and isinstance(parsed, Values):  # what an answer says is no channel's value
            self._events.append(Dropped(channels=tuple(dropped)))
        self._tell(parsed, now)
        return ""

    def _tell(self, line: Line, now: float) -> None:
        self.counts.lines += 1
        match line:
            case Values(values=values):
                self._greet_nameless()
                if values:
                    self._events.append(Sampled(values=values, at=self._wall()))
            case Event(name=name, text=text):
                self._greet_nameless()
                self._events.append(Happened(name=name, text=text, at=self._wall()))
            case Log(text=text):
                self._events.append(Logged(level=1, text=text))
            case Identity():
                self._greet(line, now)
            case Answer():
                self._answer(line)
            case _:
                self.counts.lines -= 1

    def _greet_nameless(self) -> None:
        """A sketch that says values and not who it is, is a board all the same."""
        if self.board is None:
            self.board = Greeted(level=0)
            self._events.append(self.board)

    def _greet(self, hello: Identity, now: float) -> None:
        boot, rx = hello.facts.get("boot"), hello.facts.get("rx")
        board = Greeted(level=0, id=hello.id, name=hello.name, version=hello.version, boot=_number(boot))
        self._rx = _number(rx) or DEFAULT_RX
        self._waits = []
        self.frames_promised = hello.level == 1
        was, before = self.board or self._was, self._greeted_at
        is_asked = self._is_asked(now, is_first=before is None)
        self.board, self._greeted_at = board, now
        named = was is not None and bool(was.id or was.name)
        if named and was is not None and (was.id, was.name) != (board.id, board.name):
            self._restart("another board answers now")
            self._events += [BoardChanged(was=was), board]
        elif named and was is not None and self._started_anew(was, board, before, now, is_asked=is_asked):
            self.counts.restarts += 1
            self._restart("the board restarted before it answered; it may have run")
            self._events += [Restarted(boot=board.boot), board]
        elif was != board or before is None:
            self._events.append(board)

    def _is_asked(self, now: float, *, is_first: bool) -> bool:
        """Whether a hello may answer a question that is out; it has answered it then."""
        self._asked = [each for each in self._asked if now - each <= _ANSWERED_WITHIN]
        # The first one may have been printed at the start, with the answer still to come.
        if not self._asked or is_first:
            return False
        del self._asked[0]
        self._passed = max(self._passed - 1, 0)
        return True

    @staticmethod
    def _started_anew(
        was: Greeted, board: Greeted, before: float | None, now: float, *, is_asked: bool
    ) -> bool:
        """Whether a hello that comes again says that the board started again."""
        if was.version != board.version:
            return True
        if was.boot is not None and board.boot is not None:
            return was.boot != board.boot
        # Without a boot id: the answer to `>0 hello` and the sketch's own hello may both come at its start.
        return before is not None and not is_asked and now - before > _SAME_START

    def _restart(self, why: str) -> None:
        self._asked.clear()  # with the sketch's buffer
        self._passed = 0
        self._events += self._calls.end(Outcome.UNKNOWN, why)

    def _answer(self, answer: Answer) -> None:
        if self._calls.sent is None or answer.number != self._number:
            return
        # A sketch reads its lines in their order: what was asked before this call is answered, or ignored.
        del self._asked[: self._passed]
        if answer.ok is None:
            why = f"the board answered {answer.text!r}, which is neither ok nor error; it may have run"
            self._events += self._calls.end(Outcome.UNKNOWN, why)
            return
        outcome = Outcome.DONE if answer.ok else Outcome.FAILED
        self._events += self._calls.end(outcome, answer.text, values=answer.values)


def _number(fact: Value | None) -> int | None:
    """A fact as a whole number, if it is one."""
    text = str(fact)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
