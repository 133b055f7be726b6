"""A session and a simulated board in memory, with wires between them and a clock that goes by hand."""

from typing import TypeVar

from firmware_bridge.events import Answered, Outcome, Session, SessionEvent
from firmware_bridge.messages import Parameter
from firmware_bridge.noise import NoisyWire
from firmware_bridge.simulated import SimulatedBoard, SimulatedCommand
from firmware_bridge.values import Kind
from iotxmpp.errors import CommandFailedError
from iotxmpp.readings import Value

Told = TypeVar("Told")
STEP = 0.02
WALL = 1_795_000_000.0
"""Seconds since 1970 when the house's clock says nothing."""


def fail(arguments: object) -> Value | None:
    raise CommandFailedError("the valve does not move")


COMMANDS = (
    SimulatedCommand(
        name="switch",
        run=lambda arguments: arguments["on"],
        parameters=(
            Parameter(kind=Kind.INT, name="channel"),
            Parameter(kind=Kind.BOOL, name="on"),
            Parameter(kind=Kind.FLOAT, name="for", optional=True),
        ),
    ),
    SimulatedCommand(name="fail", run=fail),
    SimulatedCommand(name="long", run=lambda _arguments: 7, lasts=3.0),
    SimulatedCommand(
        name="note", run=lambda _arguments: None, parameters=(Parameter(kind=Kind.STR, name="text"),)
    ),
)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def wall(self) -> float:
        return WALL + self.now


class House:
    """A session, a board, and what the session told."""

    def __init__(
        self,
        session: Session,
        board: SimulatedBoard,
        clock: Clock,
        *,
        up: NoisyWire | None = None,
        down: NoisyWire | None = None,
    ) -> None:
        self.session, self.board, self.clock = session, board, clock
        self.up, self.down = up or NoisyWire(1), down or NoisyWire(2)
        self.events: list[SessionEvent] = []
        self.sent = bytearray()
        self.read = 64
        board.start(clock.now)
        self.events += session.open(clock.now)

    def step(self, seconds: float = STEP) -> None:
        """One turn of both: what each sends, the other takes a moment later."""
        self.clock.now += seconds
        now = self.clock.now
        down = self.session.outgoing()
        self.sent += down
        arrived = self.down.carry(down)
        for start in range(0, len(arrived), self.read):
            self.board.receive(arrived[start : start + self.read], now)
            self.board.tick(now)
        self.board.tick(now)
        self.events += self.session.receive(self.up.carry(self.board.outgoing()), now)
        due = self.session.next_timeout()
        if due is not None and now >= due:
            self.events += self.session.tick(now)

    def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.step()

    def of(self, kind: type[Told]) -> list[Told]:
        return [each for each in self.events if isinstance(each, kind)]

    def call(self, name: str, timeout: float = 10.0, **arguments: Value) -> int:
        return self.session.call(name, arguments, self.clock.now, timeout)

    def answer(self, token: int) -> Answered | None:
        found = [each for each in self.of(Answered) if each.token == token]
        assert len(found) <= 1
        return found[0] if found else None

    def done(self, name: str, within: float = 30.0, timeout: float = 10.0, **arguments: Value) -> Answered:
        """Calls, and waits for the outcome."""
        token = self.call(name, timeout, **arguments)
        end = self.clock.now + within
        while self.clock.now < end:
            self.step()
            answer = self.answer(token)
            if answer is not None:
                return answer
        raise AssertionError(f"{name} did not end within {within} s")


__all__ = ["COMMANDS", "STEP", "WALL", "Clock", "House", "Outcome"]
