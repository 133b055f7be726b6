"""A house whose session speaks level 1, in frames."""

from firmware_bridge.frames import Frame, Splitter
from firmware_bridge.learning import Known
from firmware_bridge.session import FrameSession
from firmware_bridge.simulated import SimulatedBoard
from tests.unit.bridge_house import COMMANDS, Clock, House


def house(board: SimulatedBoard | None = None, known: Known | None = None) -> House:
    clock = Clock()
    session = FrameSession(wall=clock.wall, known=known)
    return House(session, board or SimulatedBoard(commands=COMMANDS), clock)


def sent(home: House) -> list[int]:
    """The types of the frames that went to the board."""
    return [each.body[0] for each in Splitter().feed(bytes(home.sent)) if isinstance(each, Frame)]
