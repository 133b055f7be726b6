"""A board that is plugged in again: the problem ends as soon as it said what it is, whatever it measures."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from firmware_bridge import asking, hearing
from firmware_bridge.driver import SerialDriver
from firmware_bridge.messages import Channel
from firmware_bridge.simulated import SimulatedBoard
from firmware_bridge.values import Kind
from iotxmpp.agent import opening
from iotxmpp.agent.profiled import equip
from tests.unit.agent_house import House, open_house
from tests.unit.pty_house import Plugged, board, driver, plugged, profile, until
from tests.unit.scripted_driver import problems, quick

BELL = {"bell": {"type": "bool", "on_change": True, "every": 3600}}
"""A button: it says nothing before somebody presses it, and is not asked within any test."""


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(opening, "hardware_backoff", quick)
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


def button(level: int) -> SimulatedBoard:
    return board(level=level, every=0, commands=(), channels=(Channel(index=0, kind=Kind.BOOL, name="bell"),))


def rung(path: Path, **settings: object) -> SerialDriver:
    return driver(path, profile(readings=BELL, commands={}), **settings)


@asynccontextmanager
async def printing(port: Plugged, line: bytes) -> AsyncIterator[None]:
    """The board prints this line again and again, whatever else it says."""

    async def talk() -> None:
        while True:
            port.write(line)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Served:
    """An agent with the button at a port, and the drivers that it made one after the other."""

    def __init__(self, house: House, path: Path, **settings: object) -> None:
        self.drivers: list[SerialDriver] = []
        self.agent = house.agent()
        equip(self.agent, profile(readings=BELL, commands={}), lambda: self._make(path, **settings))

    def _make(self, path: Path, **settings: object) -> SerialDriver:
        self.drivers.append(rung(path, **settings))
        return self.drivers[-1]

    def is_open(self) -> bool:
        return self.drivers[-1]._link is not None

    def tells(self, words: str) -> bool:
        return any(words in text for text in problems(self.agent))


@pytest.mark.parametrize("level", [0, 1])
async def test_a_button_that_is_plugged_in_again_is_no_problem_before_it_is_pressed(
    house: House, tmp_path: Path, level: int
) -> None:
    path = tmp_path / "tty0"
    served = Served(house, path, board="sim-1")
    async with served.agent as agent:
        with plugged(button(level), path):
            await until(lambda: served.is_open() and not problems(agent), 20)
        await until(lambda: served.tells("plug the board in"), 20)
        with plugged(button(level), path) as port:
            await until(lambda: not problems(agent), 20)
            assert served.is_open()
            assert house.values("bell") == []
            port.board.report(asyncio.get_running_loop().time())
            port.write(port.board.outgoing())
            await until(lambda: house.values("bell") == [True], 20)


async def test_a_board_that_is_refused_after_each_hello_stays_a_problem(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its port is opened and it greets, each time: that is no proof, so the problem does not come and go."""
    caplog.set_level("INFO", "iotxmpp.agent.presence")
    strange = button(1)
    strange.channels *= 2  # two of one name
    with plugged(strange, tmp_path / "tty0"):
        served = Served(house, tmp_path / "tty0")
        async with served.agent as agent:
            await until(lambda: problems(agent) != (), 20)
            tries = len(served.drivers)
            await until(lambda: len(served.drivers) > tries + 3, 20)
            assert problems(agent) != ()
            assert not any(record.getMessage().startswith("over: ") for record in caplog.records)


@pytest.mark.parametrize("protocol", ["text", "auto"])
@pytest.mark.parametrize("line", [b"# hi\r\n", b"foo=1\r\n", b"!pressed\r\n", b"foo=nan\r\n"])
async def test_a_sketch_that_does_not_say_what_it_is_is_there_with_any_line_of_its_own(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, line: bytes
) -> None:
    monkeypatch.setattr("firmware_bridge.driver.MUTE_AFTER", 3600.0)  # time alone does not end the problem
    monkeypatch.setattr(asking, "MOST_RETRIES", 1)  # so it is soon known to speak no frames
    path = tmp_path / "tty0"
    served = Served(house, path, protocol=protocol)
    async with served.agent:
        await until(lambda: served.tells("plug the board in"), 20)
        nameless = button(0)
        nameless.silent = True
        with plugged(nameless, path) as port:
            async with printing(port, line):
                await until(lambda: served.is_open() and not served.tells("plug the board in"), 20)
                assert house.values("bell") == []


async def test_a_board_that_is_refused_stays_a_problem_whatever_it_prints_between_its_frames(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "iotxmpp.agent.presence")
    strange = button(1)
    strange.channels *= 2  # two of one name
    with plugged(strange, tmp_path / "tty0") as port:
        served = Served(house, tmp_path / "tty0")
        async with served.agent as agent, printing(port, b"# hi\r\n"):
            await until(lambda: problems(agent) != (), 20)
            tries = len(served.drivers)
            await until(lambda: len(served.drivers) > tries + 3, 20)
            assert problems(agent) != ()
            assert not any(record.getMessage().startswith("over: ") for record in caplog.records)


async def test_a_port_that_stays_silent_is_told_as_silent_instead(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "MUTE_AFTER", 0.2)
    monkeypatch.setattr("firmware_bridge.driver.MUTE_AFTER", 0.2)
    path = tmp_path / "tty0"
    served = Served(house, path)
    async with served.agent as agent:
        await until(lambda: served.tells("plug the board in"), 20)
        silent = button(0)
        silent.silent = True
        with plugged(silent, path):
            await until(lambda: served.tells("nothing that is understood has come"), 20)
            await until(lambda: len(problems(agent)) == 1, 20)
            assert served.tells("nothing that is understood has come")
