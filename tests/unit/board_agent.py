"""An agent that a simulated board on a pty serves: the real driver, the feed and its gate between them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_bridge.driver import SerialDriver
from firmware_bridge.messages import Channel
from firmware_bridge.values import Kind
from iotxmpp.agent.profiled import equip
from iotxmpp.readings import Value
from tests.unit.agent_house import House
from tests.unit.pty_house import Plugged, board, driver, profile, until
from tests.unit.scripted_driver import problems

if TYPE_CHECKING:
    from firmware_bridge.simulated import SimulatedBoard

KINDS = {"float": Kind.FLOAT, "int": Kind.INT, "bool": Kind.BOOL, "str": Kind.STR}
OFTEN = 0.1
"""Seconds between two questions of the agent: what is repeated shows soon."""


class Told:
    """A board that reports when it is told to, with the values that it is told.

    Args:
        level: 0 for lines, 1 for frames.
        measured: The type of each channel that it measures.
        more: A board's own arguments.
    """

    def __init__(self, level: int, measured: Mapping[str, str], **more: Any) -> None:  # noqa: ANN401  # its own
        self.values: dict[str, Value] = {}
        channels = [
            Channel(index=index, kind=KINDS[kind], name=name)
            for index, (name, kind) in enumerate(measured.items())
        ]
        self.board: SimulatedBoard = board(
            level=level,
            every=0,
            commands=(),
            channels=channels,
            value=lambda channel, _number: self.values[channel.name],
            **more,
        )

    def report(self, port: Plugged, **values: Value) -> None:
        """The board measures these, and says so."""
        self.values |= values
        self.board.report(asyncio.get_running_loop().time())
        port.write(self.board.outgoing())

    def happen(self, port: Plugged, name: str, text: str = "") -> None:
        """Something happens at the board, which says so."""
        self.board.happen(name, text, asyncio.get_running_loop().time())
        port.write(self.board.outgoing())

    def restart(self, port: Plugged) -> None:
        """The board starts anew, and says who it is then."""
        self.board.restart(asyncio.get_running_loop().time())
        port.write(self.board.outgoing())


class Served:
    """An agent with a board at a port.

    Args:
        house: Where it lives.
        path: The port.
        readings: The profile's.
        settings: The driver's.
    """

    def __init__(
        self,
        house: House,
        path: Path,
        readings: Mapping[str, Any],
        **settings: object,
    ) -> None:
        self._profile = profile(readings=readings, commands={})
        self.drivers: list[SerialDriver] = []
        self.agent = house.agent()
        equip(self.agent, self._profile, lambda: self._make(path, **settings))

    def _make(self, path: Path, **settings: object) -> SerialDriver:
        self.drivers.append(driver(path, self._profile, **settings))
        return self.drivers[-1]

    async def ready(self) -> None:
        """Waits until its board is served, and nothing is wrong."""
        await until(self._is_ready, 20)

    def _is_ready(self) -> bool:
        link = self.drivers[-1]._link
        if link is None or link.error is not None or problems(self.agent):
            return False
        board = link.session.board
        return board is not None and (board.level == 0 or link.session.description is not None)

    def tells(self, words: str) -> bool:
        """Whether a problem of the device says this."""
        return any(words in text for text in problems(self.agent))
