"""A sensor on a board that gives no numbers is a problem of its channel, until it gives one."""

import asyncio
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.lastvalues import BAD_AFTER, FRESH, LastValues
from iotxmpp.readings import Value
from tests.unit.agent_house import House
from tests.unit.board_agent import OFTEN, Served, Told
from tests.unit.pty_house import plugged, until
from tests.unit.scripted_driver import problems

WORDS = (
    "temperature: the board gives nan or inf instead of a value, 3 times in a row or more; check the sensor"
    " and its wiring"
)
MEASURED = {"temperature": "float", "light": "int"}


def readings(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # a reading's own keys
    return {"temperature": {"type": "float", "range": [-40, 85], **more}, "light": {"type": "int"}}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("every", [OFTEN, 3600])
@pytest.mark.parametrize("level", [0, 1])
async def test_a_sensor_that_gives_no_numbers_is_a_problem_until_it_gives_one(
    house: House, tmp_path: Path, level: int, every: float, bad: float
) -> None:
    told = Told(level, MEASURED)
    served = Served(house, tmp_path / "tty0", readings(every=every))
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            told.report(port, temperature=21.5, light=1)
            await until(lambda: house.values("temperature"), 20)
            for _ in range(BAD_AFTER):
                told.report(port, temperature=bad)
            await until(lambda: problems(served.agent) == (WORDS,), 20)
            await until(lambda: house.problems == (WORDS,), 20)
            told.report(port)
            await asyncio.sleep(3 * OFTEN)
            count = len(house.values("temperature"))
            await asyncio.sleep(3 * OFTEN)
            assert problems(served.agent) == (WORDS,)
            assert len(house.values("temperature")) == count  # nothing old as if it were new
            told.report(port, temperature=22.5)
            await until(lambda: not problems(served.agent), 20)
            await until(lambda: house.problems == (), 20)


@pytest.mark.parametrize("level", [0, 1])
async def test_a_number_that_is_missing_now_and_then_is_no_problem(
    house: House, tmp_path: Path, level: int
) -> None:
    told = Told(level, MEASURED)
    served = Served(house, tmp_path / "tty0", readings(every=OFTEN))
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            since = len(house.statuses)
            for number in range(8):
                for _ in range(BAD_AFTER - 1):
                    told.report(port, temperature=math.nan, light=number)
                told.report(port, temperature=20.0 + number)
                await asyncio.sleep(OFTEN)
            await until(lambda: 27.0 in house.values("temperature"), 20)
    assert [each.problems for each in house.statuses[since:] if each.problems] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("temperature=hot light=1", "temperature: 'hot' is str, expected float"),
        ("temperature=900 light=1", "temperature: 900 is out of its range, -40 to 85"),
        ("temperature=20 light=1.5", "light: 1.5 is float, expected int"),
        ("temperature=ovf light=1\n" * 3, WORDS),
        ("temperature=-1e999 light=1\n" * 3, WORDS),
    ],
)
async def test_what_its_channel_does_not_take_is_a_problem_until_a_good_value(
    house: House, tmp_path: Path, line: str, words: str
) -> None:
    told = Told(0, MEASURED)
    served = Served(house, tmp_path / "tty0", readings(every=3600))
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            port.write(f"light=0\n{line}\n".encode())
            await until(partial(served.tells, words), 20)
            assert problems(served.agent) == (words,)
            told.report(port, temperature=20.5, light=2)
            await until(lambda: not problems(served.agent), 20)


async def test_the_problem_lasts_over_a_replug_until_the_sensor_works(house: House, tmp_path: Path) -> None:
    path = tmp_path / "tty0"
    served = Served(house, path, readings(every=OFTEN))
    async with served.agent:
        told = Told(0, MEASURED)
        with plugged(told.board, path) as port:
            await served.ready()
            for _ in range(BAD_AFTER):
                told.report(port, temperature=math.nan, light=1)
            await until(partial(served.tells, WORDS), 20)
        await until(partial(served.tells, "plug the board in"), 20)
        told = Told(0, MEASURED)
        with plugged(told.board, path) as port:
            await until(lambda: not served.tells("plug the board in"), 20)
            assert served.tells(WORDS)
            told.report(port, temperature=20.5, light=2)
            await until(lambda: not problems(served.agent), 20)


def texts(known: dict[str, Value | OSError]) -> dict[str, str]:
    return {name: str(value.strerror) for name, value in known.items() if isinstance(value, OSError)}


def test_what_came_before_a_missing_number_is_not_given_again() -> None:
    last = LastValues({"t"}, 0.0)
    last.take({"t": 20.0, "mode": "auto"}, 1.0)
    assert last.drop(["t"], 2.0) == {}
    assert last.known(3.0, served=0.0, heard=3.0) == {"mode": "auto"}
    last.take({"t": 21.0}, 4.0)
    assert last.known(5.0, served=0.0, heard=5.0) == {"t": 21.0, "mode": "auto"}


def test_it_is_told_once_from_the_third_in_a_row_on_and_known_as_long_as_it_is_so() -> None:
    last = LastValues({"t"}, 0.0)
    assert [list(last.drop(["t"], float(now))) for now in range(5)] == [[], [], ["t"], [], []]
    assert "check the sensor" in texts(last.known(10 * FRESH, served=0.0, heard=10 * FRESH))["t"]
    last.forget()
    assert last.known(3.0, served=0.0, heard=3.0) == {}


def test_silence_is_told_of_a_board_that_says_nothing_more_and_not_of_one_that_gives_no_numbers() -> None:
    last = LastValues({"t"}, 5.0)
    last.take({"t": 20.0}, 0.0)
    for now in range(1, 11):
        last.drop(["t"], float(now))
    assert "check the sensor" in texts(last.known(11.0, served=0.0, heard=10.0))["t"]
    assert "not given it for 20 s" in texts(last.known(20.0, served=0.0, heard=10.0))["t"]
