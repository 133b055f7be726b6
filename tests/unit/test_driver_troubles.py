"""Troubles of a driver that still gives values: problems of the device while they last."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from firmware_bridge import health
from firmware_bridge.driver import LONGEST_WAIT
from firmware_bridge.messages import Channel
from firmware_bridge.noise import NoisyWire
from firmware_bridge.values import Kind
from iotxmpp import Agent
from iotxmpp.agent import opening, troubles
from iotxmpp.agent.drivers import Hasty, Troubled
from iotxmpp.agent.opening import backoff_for
from iotxmpp.agent.profiled import equip
from iotxmpp.backoff import Backoff
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until
from tests.unit.pty_house import board, driver, plugged, profile
from tests.unit.scripted_driver import PROFILE, Pushed, Scripted, problems, quick


class Sorrow:
    """What is wrong, as a test says; an exception is raised."""

    wrong: Mapping[str, str] | BaseException = MappingProxyType({})

    def troubles(self) -> Mapping[str, str]:
        if isinstance(self.wrong, BaseException):
            raise self.wrong
        return self.wrong


class PushedSorrow(Sorrow, Pushed):
    """A driver that gives samples and knows what is wrong."""


class PolledSorrow(Sorrow, Scripted):
    """A driver that is asked and knows what is wrong."""


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(opening, "hardware_backoff", quick)
    monkeypatch.setattr(troubles, "LOOK_EVERY", 0.01)
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        yield opened


def served(house: House, driver: PushedSorrow | PolledSorrow) -> Agent:
    agent = house.agent()
    equip(agent, parse_profile(PROFILE, "station.toml"), lambda: driver)
    return agent


def test_which_drivers_have_troubles_and_are_hasty() -> None:
    assert isinstance(PushedSorrow(), Troubled)
    assert not isinstance(Pushed(), Troubled)
    serial = driver("/dev/none")
    assert isinstance(serial, Troubled)
    assert isinstance(serial, Hasty)
    assert not isinstance(Pushed(), Hasty)


def test_a_hasty_driver_is_tried_after_its_own_longest_wait() -> None:
    assert backoff_for(driver("/dev/none")) == Backoff(first=1.0, longest=LONGEST_WAIT)
    assert LONGEST_WAIT == 5.0
    assert backoff_for(Scripted()) == Backoff(first=1.0, longest=60.0)


@pytest.mark.parametrize("kind", [PushedSorrow, PolledSorrow])
async def test_a_trouble_is_a_problem_until_it_is_gone(
    house: House, kind: type[PushedSorrow | PolledSorrow]
) -> None:
    sorrow = kind()
    sorrow.wrong = {"line": "noisy; check the cable"}
    agent = served(house, sorrow)
    async with agent:
        await until(lambda: problems(agent) == ("station: noisy; check the cable",))
        sorrow.wrong = {"line": "still noisy", "door": "stuck"}
        await until(lambda: problems(agent) == ("station: still noisy", "station: stuck"))
        sorrow.wrong = {"door": "stuck"}
        await until(lambda: problems(agent) == ("station: stuck",))
        sorrow.wrong = {}
        await until(lambda: not problems(agent))
        assert sorrow.opened == 1


async def test_troubles_end_with_the_opening(house: House) -> None:
    sorrow = PushedSorrow()
    sorrow.wrong = {"line": "noisy"}
    agent = served(house, sorrow)
    async with agent:
        await until(lambda: problems(agent) == ("station: noisy",))
        sorrow.opening = OSError(19, "unplugged")
        sorrow.news.put_nowait(OSError(19, "unplugged"))
        await until(lambda: problems(agent) == ("station: OSError: [Errno 19] unplugged",))


async def test_no_more_than_some_troubles_are_told(house: House) -> None:
    sorrow = PushedSorrow()
    sorrow.wrong = {str(number): f"trouble {number}" for number in range(50)}
    agent = served(house, sorrow)
    async with agent:
        await until(lambda: len(problems(agent)) == troubles.MOST)


class SilentWords:
    """What cannot be written."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (KeyError("confused"), "KeyError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (BaseExceptionGroup("two", [KeyboardInterrupt()]), "BaseExceptionGroup: two"),
        ({"line": SilentWords()}, "ValueError: no words"),
    ],
)
async def test_a_driver_that_cannot_say_its_troubles_still_serves(
    house: House, wrong: Mapping[str, str] | BaseException, words: str
) -> None:
    sorrow = PushedSorrow()
    sorrow.wrong = wrong
    agent = served(house, sorrow)
    async with agent:
        await until(lambda: len(problems(agent)) == 1)
        assert f"the driver cannot say what is wrong: {words}" in problems(agent)[0]
        sorrow.wrong = {}
        await until(lambda: not problems(agent))
        sorrow.push(temperature=21.0)
        await until(lambda: house.values("temperature") == [21.0])


# The serial driver's.


async def test_a_strange_channel_and_a_missing_command_of_a_board_are_problems(
    house: House, tmp_path: Path
) -> None:
    channels = (
        Channel(index=0, kind=Kind.FLOAT, name="temperature", unit="Cel"),
        Channel(index=1, kind=Kind.FLOAT, name="humidity", unit="%RH"),
        Channel(index=2, kind=Kind.BOOL, name="door"),
    )
    agent = house.agent()
    equip(agent, profile(), lambda: driver(tmp_path / "tty0"))
    with plugged(board(channels=channels, commands=()), tmp_path / "tty0"):
        async with agent:
            await until(lambda: len(problems(agent)) == 2)
            texts = " | ".join(problems(agent))
            assert "gives door, which the profile does not have; add [readings.NAME]" in texts
            assert "command set: the board does not have it" in texts
            await until(lambda: house.values("temperature") != [])


@pytest.mark.parametrize("level", [0, 1])
async def test_a_strange_channel_is_over_once_other_firmware_does_not_give_it(
    house: House, tmp_path: Path, level: int
) -> None:
    channels = tuple(
        Channel(index=index, kind=Kind.FLOAT, name=name)
        for index, name in enumerate(["temperature", "humidity", "door"])
    )
    agent = house.agent()
    uno = board(channels=channels, level=level)
    with plugged(uno, tmp_path / "tty0") as house_:
        equip(agent, profile(), lambda: driver(tmp_path / "tty0"))
        async with agent:
            await until(lambda: any("gives door" in text for text in problems(agent)))
            other = board(channels=channels[:2], level=level, version="2.0.0")
            house_.board = other
            other.start(asyncio.get_running_loop().time())
            await until(lambda: not any("gives door" in text for text in problems(agent)))


async def test_a_noisy_line_is_a_problem_until_it_is_clean(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WINDOW", 0.5)
    noisy = NoisyWire(3, damage=0.02)
    agent = house.agent()
    equip(agent, profile(), lambda: driver(tmp_path / "tty0"))
    with plugged(board(every=0.01), tmp_path / "tty0", up=noisy) as house_:
        async with agent:
            await until(lambda: any("check the cable" in text for text in problems(agent)))
            house_.up = NoisyWire(1)
            await until(lambda: not any("check the cable" in text for text in problems(agent)))


async def test_two_boards_of_one_id_are_a_problem_until_one_is_gone(house: House, tmp_path: Path) -> None:
    agent = house.agent()
    equip(agent, profile(), lambda: driver(tmp_path / "tty*", board="sim-1"))
    with plugged(board(), tmp_path / "tty0"), plugged(board(), tmp_path / "tty1") as second:
        async with agent:
            await until(lambda: any("2 boards say that they are 'sim-1'" in text for text in problems(agent)))
            second.pull()
            await until(lambda: not problems(agent))
