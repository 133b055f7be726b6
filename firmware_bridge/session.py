"""Level 1's side of the host: one board on one connection, without I/O (docs/serial.md, section 8)."""

import random
import time
from collections.abc import Callable, Mapping

from firmware_bridge.asking import Asking, Question
from firmware_bridge.basis import Basis
from firmware_bridge.boardclock import BoardClock
from firmware_bridge.calls import Encoded, Pending
from firmware_bridge.description import Description
from firmware_bridge.events import (
    BoardChanged,
    Described,
    Greeted,
    Logged,
    Lost,
    Outcome,
    Refused,
    Restarted,
    SessionEvent,
)
from firmware_bridge.frames import OVERHEAD, Damage, Frame, Splitter, encode_frame
from firmware_bridge.learning import Known, Learner
from firmware_bridge.lines import printed_text
from firmware_bridge.messages import (
    Channel,
    Command,
    Hello,
    Log,
    Result,
    Status,
    Synced,
    Type,
    Who,
    call_body,
    parse_message,
    write_message,
)
from firmware_bridge.reports import Reports
from iotxmpp.errors import ArgumentsError, CommandError, InvalidError, UnknownCommandError
from iotxmpp.readings import Value

_COUNTED = frozenset((int(Type.REPORT), int(Type.EVENT)))
_DESCRIBING = frozenset((int(Type.CHANNEL), int(Type.COMMAND)))
_TYPES = frozenset(int(each) for each in Type)
_OUTCOMES = {
    Status.DONE: Outcome.DONE,
    Status.FAILED: Outcome.FAILED,
    Status.UNKNOWN_COMMAND: Outcome.UNKNOWN_COMMAND,
    Status.BAD_ARGUMENTS: Outcome.BAD_ARGUMENTS,
    Status.OTHER_BOOT: Outcome.UNKNOWN,
}


class FrameSession(Basis):
    """A board that speaks frames; see `firmware_bridge.events.Session` for its face.

    Args:
        known: Descriptions that are remembered; give the same mapping to every session.
        wall: Gives seconds since 1970.
        first_call: The number of the first call; random unless given, so that a board that kept the result of
            an earlier session's call does not take it for the same.
    """

    def __init__(
        self,
        *,
        known: Known | None = None,
        wall: Callable[[], float] = time.time,
        first_call: int | None = None,
    ) -> None:
        super().__init__(wall)
        self._number = random.randrange(1 << 16) if first_call is None else first_call  # noqa: S311  # no secret
        self._learner = Learner({} if known is None else known)
        self._splitter = Splitter()
        self._asking = Asking(self._send)
        self._clock = BoardClock()
        self._reports = Reports(self._clock, self.counts, wall)
        self._refused = ""
        self._hello: Hello | None = None

    def open(self, now: float) -> list[SessionEvent]:
        """Begins on a new connection: asks the board who it is."""
        self._end("the connection was opened anew")
        self._open = self._reports.unsure = True
        self._advance(now)
        return self._take()

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Takes what came."""
        if not self._open:
            return []
        damage: list[Damage] = []
        for piece in self._splitter.feed(data):
            if isinstance(piece, Frame):
                problem = self._frame(piece.body, now)
            elif isinstance(piece, Damage):
                problem = piece
            else:
                problem = self._line(piece)
            if problem is not None:
                damage.append(problem)
        if damage:
            self._tell_damage(damage)
        self._advance(now)
        return self._take()

    def next_timeout(self) -> float | None:
        """When `tick` is due."""
        if not self._open:
            return None
        due, limit = self._asking.due, self._calls.next_limit()
        if limit is not None and (due is None or limit < due):
            due = limit
        if self._asking.question is None and self.description is not None:
            due = self._clock.due if due is None else min(due, self._clock.due)
        return due

    def tick(self, now: float) -> list[SessionEvent]:
        """Does what is due: sends again, asks for the time, ends what took too long."""
        if not self._open:
            return []
        sent = self._calls.sent
        self._events += self._calls.expire(now)
        if sent is not None and self._calls.sent is None:
            self._asking.drop()
        question = self._asking.question
        again = self._asking.again(now)
        if again:
            self.counts.retries += 1
        elif again is False and question is not None:
            why = f"the board gave no answer to {question.about}, sent {question.tries} times"
            self._end(why)
            self._events.append(Lost(why=why))
        self._advance(now)
        return self._take()

    def _end(self, why: str) -> None:
        super()._end(why)
        self._splitter.reset()
        self._refused = ""
        self._forget_board()

    def _check(self, name: str, arguments: Mapping[str, Value]) -> Encoded | None:
        if self._refused:
            raise CommandError(f"command {name}: not started: {self._refused}")
        if self.description is None:
            return None
        return (self._hello, *self._encode(name, arguments))

    def _send(self, body: bytes) -> None:
        self._out += encode_frame(body)

    def _line(self, line: bytes) -> Damage | None:
        """A text between frames is a log, whatever it says."""
        text = printed_text(line)
        if text is None:
            return Damage(len(line), "a line that is no text")
        if text:
            self.counts.lines += 1
            self._events.append(Logged(level=1, text=text.removeprefix("#").strip()))
        return None

    def _frame(self, body: bytes, now: float) -> Damage | None:
        self.counts.frames += 1
        kind = body[0]
        try:
            if kind in _COUNTED:
                self._events += self._reports.take(body, now)
            elif kind in _TYPES:
                self._other(body, now)
            else:
                self.counts.unknown += 1
        except InvalidError as error:
            if kind == Type.HELLO:
                self._refuse(str(error))
            return Damage(len(body), str(error))
        return None

    def _other(self, body: bytes, now: float) -> None:
        if body[0] in _DESCRIBING:
            self._describes(body)
            return
        message = parse_message(body)
        match message:
            case Hello():
                self._greet(message, now)
            case Log():
                self._events.append(Logged(level=min(message.level, 3), text=message.text))
            case Result():
                self._result(message, now)
            case Synced():
                if self._clock.answered(message, now):
                    self._asking.answers("sync")
            case _:
                raise InvalidError(f"message 0x{body[0]:02X}: it is for boards; is a host at the far end?")

    def _greet(self, hello: Hello, now: float) -> None:
        """A board says who it is: by itself at its start or as its channels change, or asked."""
        if self._asking.question is not None and self._asking.question.key[0] in {"who", "describe"}:
            self._asking.drop()
        self._reports.unsure = False
        here, was, self._hello = self._hello, self.board or self._was, hello
        changed = was is not None and (was.id, was.name) != (hello.id, hello.name)
        restarted = (
            was is not None
            and not changed
            and (was.boot != hello.boot or (hello.started and here is not None))
        )
        if here is None or changed or restarted:
            self._forget_start(hello, now)
            if changed and was is not None:
                self._events.append(BoardChanged(was=was))
            if restarted:
                self.counts.restarts += 1
                self._events.append(Restarted(boot=hello.boot))
        elif (here.schema, here.version) == (hello.schema, hello.version):
            self._events += self._reports.release()
            return
        self.board = Greeted(level=1, id=hello.id, name=hello.name, version=hello.version, boot=hello.boot)
        self._events.append(self.board)
        self._refused = ""
        self._describe(None)
        try:
            remembered = self._learner.begin(hello)
        except InvalidError as error:
            self._refuse(str(error))
            return
        if remembered is not None:
            self._described(remembered, remembered=True)

    def _forget_start(self, hello: Hello, now: float) -> None:
        """What was known of the board's last start holds no longer."""
        self._events += self._calls.end(
            Outcome.UNKNOWN, "the board restarted before it answered; it may have run"
        )
        self._asking.drop()
        self._clock.reset(now)
        self._reports.begin()
        if hello.started:
            # What is held came before this hello, so from the start before.
            self._reports.forget()

    def _describes(self, body: bytes) -> None:
        """A description that was asked for; any other came too late."""
        if len(body) <= 1:
            raise InvalidError(f"message 0x{body[0]:02X}: it ends before its index; bytes are missing")
        if self._asking.answers("describe", body[0] == Type.COMMAND, body[1]) is None:
            return
        try:
            message = parse_message(body)
            if not isinstance(message, Channel | Command):
                return
            description = self._learner.take(body)
        except InvalidError as error:
            self._refuse(str(error))
            raise
        if description is not None:
            self._described(description, remembered=False)

    def _described(self, description: Description, *, remembered: bool) -> None:
        self._describe(description)
        self._events.append(Described(description=description, remembered=remembered))
        self._events += self._reports.release()

    def _describe(self, description: Description | None) -> None:
        self.description = description
        self._reports.describe(description)

    def _forget_board(self) -> None:
        """Nothing is known of the board, and nothing asked, until its next hello."""
        self._asking.drop()
        self._learner.stop()
        self._reports.forget()
        self._reports.unsure = False
        self._hello = None
        self._describe(None)

    def _refuse(self, why: str) -> None:
        """The board cannot be served until its next hello."""
        self._refused = why
        self._forget_board()
        self._events += self._calls.end_all(why)
        self._events.append(Refused(text=why))

    def _advance(self, now: float) -> None:
        """Asks the next question, if none is open: who, what, the next call, the time."""
        if self._asking.question is not None or not self._open or self._refused:
            return
        describe = self._learner.question()
        if self._reports.unsure:
            self._asking.ask(_question("who it is", ("who",), write_message(Who())), now)
        elif describe is not None:
            what = f"what its {'command' if describe.command else 'channel'} {describe.index} is"
            key = ("describe", describe.command, describe.index)
            self._asking.ask(_question(what, key, write_message(describe)), now)
        elif self.description is not None and not self._send_call(now) and now >= self._clock.due:
            question = Question(
                about="the time", key=("sync",), body=lambda at: self._clock.ask(at, self._wall())
            )
            self._asking.ask(question, now)

    def _send_call(self, now: float) -> bool:
        """Sends the first waiting call that fits; whether there was one."""
        while (call := self._calls.next()) is not None:
            encoded = call.encoded
            try:
                if encoded is None or encoded[0] is not self._hello:
                    encoded = (self._hello, *self._encode(call.name, call.arguments))
            except UnknownCommandError as error:
                self._events += self._calls.end(Outcome.UNKNOWN_COMMAND, str(error))
            except ArgumentsError as error:
                self._events += self._calls.end(Outcome.BAD_ARGUMENTS, str(error))
            else:
                self._number = (self._number + 1) & 0xFFFF
                self._asking.ask(self._call_question(call, encoded), now)
                return True
        return False

    def _call_question(self, call: Pending, encoded: Encoded) -> Question:
        boot = self._hello.boot if self._hello is not None else 0
        body = call_body(self._number, boot, *encoded[1:])
        return _question(f"call {call.name}", ("call", self._number), body)

    def _encode(self, name: str, arguments: Mapping[str, Value]) -> tuple[int, bytes]:
        """A call's index and data, which the board's buffer can take."""
        if self.description is None or self._hello is None:
            raise ArgumentsError(f"command {name}: the board is not described yet")
        index, data = self.description.encode(name, arguments)
        size = len(data) + 8 + OVERHEAD
        if size > self._hello.rx:
            raise ArgumentsError(
                f"command {name}: its frame has {size} bytes, the board takes {self._hello.rx};"
                " shorten the texts, or give the firmware a greater buffer"
            )
        return index, data

    def _result(self, result: Result, now: float) -> None:
        if self._asking.question is None or self._asking.question.key != ("call", result.call):
            return
        if result.status is Status.BUSY:
            self._asking.put_off(now)
            return
        self._asking.drop()
        text, outcome = result.text, _OUTCOMES[result.status]
        if result.status is Status.OTHER_BOOT:
            text = "the board restarted before it answered; it may have run"
            self._reports.unsure = True
        value = result.value
        if isinstance(value, float) and value - value != 0.0:
            self.counts.dropped += 1
            value = None
        self._events += self._calls.end(outcome, text, value=value)


def _question(about: str, key: tuple[object, ...], body: bytes) -> Question:
    return Question(about=about, key=key, body=lambda _now: body)
