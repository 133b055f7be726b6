"""A board at an open wire: bytes in, events out, commands answered. It ends with the wire."""

import asyncio
import errno
import logging
from collections.abc import Callable, Mapping, Sequence

from firmware_bridge.events import Answered, Greeted, Lost, Session, SessionEvent
from firmware_bridge.frames import Frame, Splitter
from firmware_bridge.lines import Identity, Values, parse_line
from firmware_bridge.messages import Type
from firmware_bridge.port import Opener, Wire
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value

_EARLY = 16_384
_LOGGER = logging.getLogger(__name__)

Hear = Callable[[Sequence[SessionEvent]], None]
"""Takes what the session tells, in the order of its coming."""


class Link:
    """One session on one wire; for use once.

    Args:
        where: The port's name, for people.
        session: Speaks with the board.
        hear: Takes what the session tells; it must not raise.

    Attributes:
        where: The port's name.
        session: Speaks with the board.
        error: Why it is lost; None while it is not.
        on_lost: Is told once when it is lost.
    """

    def __init__(self, where: str, session: Session, hear: Hear) -> None:
        self.where = where
        self.session = session
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = self._closed = False
        self._early = bytearray()
        self._waking = Splitter()
        self._answers: dict[int, asyncio.Future[Answered]] = {}
        self._greetings: list[tuple[Callable[[Greeted], bool], asyncio.Future[Greeted]]] = []
        self.error: OSError | None = None
        self.on_lost: Callable[[OSError], None] | None = None

    async def open(self, opener: Opener, reset_wait: float) -> None:
        """Opens the wire.

        Args:
            opener: Opens it.
            reset_wait: Seconds for a board that starts anew because its port was opened; its first good word
                ends them, and before it is spoken to.

        Raises:
            OSError: The wire cannot be opened.
            ConfigError: It cannot be opened as it is configured.
        """
        self._wire = await opener(self)
        self._timer = self._loop.call_later(reset_wait, self._begin)

    async def close(self) -> None:
        """Ends it; calls that are not answered end as *unknown*, or as not run."""
        if not self._closed:
            self._closed = True
            self._tell(self.session.close(self._loop.time()))
        if self._timer is not None:
            self._timer.cancel()
        if self._wire is not None:
            await self._wire.close()
        for answer in self._answers.values():
            answer.cancel()

    def received(self, data: bytes) -> None:
        """Takes what came from the wire."""
        if self._closed:
            return
        if self._begun:
            try:
                self._tell(self.session.receive(data, self._loop.time()))
            finally:  # whatever came, the link goes on
                if self._answers:  # whoever has an answer now goes on before us
                    self._loop.call_soon(self._go_on)
                else:
                    self._go_on()
            return
        self._early += data
        del self._early[:-_EARLY]
        if any(_is_good(piece) for piece in self._waking.feed(data)):
            self._begin()

    def lost(self, error: OSError) -> None:
        """The wire is gone."""
        if self.error is not None or self._closed:
            return
        self.error = error
        self._tell(self.session.close(self._loop.time()))
        for _, greeting in self._greetings:
            if not greeting.done():
                greeting.set_exception(error)
        self._greetings.clear()
        if self.on_lost is not None:
            self.on_lost(error)

    async def call(self, name: str, arguments: Mapping[str, Value], timeout: float) -> Answered:
        """Calls a command of the board, and returns how it ended.

        Raises:
            UnknownCommandError: The board has no such command.
            ArgumentsError: The arguments do not fit it.
            CommandError: Too many calls wait already.
            LinkDownError: The board is not there now; the command was not started.
        """
        now = self._loop.time()
        token = self.session.call(name, arguments, now, timeout)
        is_sent = self._send()  # at once: the board works while the rest is done here
        answer: asyncio.Future[Answered] = self._loop.create_future()
        self._answers[token] = answer
        if is_sent:
            self._plan()
        else:  # it waits for its turn, or has ended already
            self._tell(self.session.tick(now))
            self._go_on()
        try:
            return await answer
        finally:
            self._answers.pop(token, None)

    async def greeting(self, fits: Callable[[Greeted], bool], timeout: float) -> Greeted:
        """Waits for a board that says who it is, in a way that fits.

        Raises:
            TimeoutError: None did.
            OSError: The wire is gone.
        """
        if self.error is not None:
            raise self.error
        board = self.session.board
        if board is not None and fits(board):
            return board
        greeting: asyncio.Future[Greeted] = self._loop.create_future()
        waits = (fits, greeting)
        self._greetings.append(waits)
        try:
            async with asyncio.timeout(timeout):
                return await greeting
        finally:
            if waits in self._greetings:
                self._greetings.remove(waits)

    def _begin(self) -> None:
        """The board is awake, or had time to be: now it is spoken to."""
        if self._begun or self._closed or self.error is not None:
            return
        self._begun = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        early, self._early = bytes(self._early), bytearray()
        now = self._loop.time()
        try:
            self._tell(self.session.open(now))
            if early:
                self._tell(self.session.receive(early, now))
        finally:
            self._go_on()

    def _due(self) -> None:
        self._timer = None
        if self._closed or self.error is not None:
            return
        try:
            self._tell(self.session.tick(self._loop.time()))
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Sends what is to be sent, and comes back when something is due."""
        if not self._closed and self.error is None:
            self._send()
            self._plan()

    def _plan(self) -> None:
        """Comes back when something is due."""
        if self._closed or self.error is not None:
            return
        due = self.session.next_timeout()
        if due is None:
            return
        # An earlier timer stays: looking once too often costs less than a new timer for each report.
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._due)

    def _send(self) -> bool:
        """Whether there was something to send."""
        data = self.session.outgoing()
        if data and self._wire is not None:
            self._wire.write(data)
        return bool(data)

    def _tell(self, events: Sequence[SessionEvent]) -> None:
        for event in events:
            match event:
                case Answered():
                    answer = self._answers.get(event.token)
                    if answer is not None and not answer.done():
                        answer.set_result(event)
                case Greeted():
                    self._greet(event)
                case Lost():
                    self._loop.call_soon(
                        self.lost, OSError(errno.ETIMEDOUT, f"{self.where}: {event.why}; opening it again")
                    )
        if events:
            self._hear(events)

    def _greet(self, board: Greeted) -> None:
        for fits, greeting in self._greetings:
            if not greeting.done() and fits(board):
                greeting.set_result(board)


def _is_good(piece: object) -> bool:
    """Whether a piece shows that a program runs on the board: a frame, its values, or its hello."""
    if isinstance(piece, Frame):
        return piece.body[0] in set(Type)
    if not isinstance(piece, bytes):
        return False
    try:
        line = parse_line(piece)
    except InvalidError:
        return False
    return isinstance(line, Identity) or (isinstance(line, Values) and bool(line.values))
