"""Sketches that say who they are at their start alone, or never: restarted to hear it, told, or refused."""

import asyncio
import errno
import fcntl
import logging
import os
import termios
from functools import partial
from pathlib import Path

import pytest

from firmware_bridge import hearing, restarting
from tests.unit import sketch_house
from tests.unit.pty_house import driver, taking, until
from tests.unit.sketch_house import Lines, sketch

HELLO = "@hello id=shed-1 name=shed version=1.0.0"
OTHER = "@hello id=attic-1 name=attic version=1.0.0"


@pytest.fixture
async def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return Lines(monkeypatch)


async def test_a_sketch_without_a_name_is_taken_at_the_port_that_is_named_and_that_is_told(
    tmp_path: Path, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    with sketch(tmp_path / "tty0", HELLO):
        async with driver(tmp_path / "tty0", board="shed-1") as opened, taking(opened) as taken:
            await until(lambda: taken.values("temperature"))
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(told) == 1, told
    assert "taken for 'shed-1', which nothing confirms" in told[0]
    assert not lines.drawn


@pytest.mark.parametrize("port", ["tty0", "tty*"])
async def test_a_sketch_that_says_who_it_is_at_its_start_alone_is_restarted_once_to_hear_it(
    tmp_path: Path, lines: Lines, caplog: pytest.LogCaptureFixture, port: str
) -> None:
    with sketch(tmp_path / "tty0", HELLO) as shed:
        lines.sketches[tmp_path / "tty0"] = shed
        for opening in (1, 2):
            async with driver(tmp_path / port, board="shed-1") as opened, taking(opened) as taken:
                await until(partial(taken.values, "temperature"))
            assert lines.drawn == [tmp_path / "tty0"] * opening
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_sketch_that_answers_is_not_restarted(tmp_path: Path, lines: Lines) -> None:
    with sketch(tmp_path / "tty0", HELLO, answers=True) as shed:
        lines.sketches[tmp_path / "tty0"] = shed
        async with driver(tmp_path / "tty*", board="shed-1") as opened, taking(opened) as taken:
            await until(lambda: taken.values("temperature"))
    assert not lines.drawn


async def test_among_ports_that_are_not_named_a_sketch_without_a_name_is_never_taken(
    tmp_path: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", HELLO):
        lines.sketches[tmp_path / "tty0"] = None  # its reset does not hang on DTR
        for _ in range(2):
            with pytest.raises(OSError, match=r"'shed-1' was not found: .*; or name its port") as refused:
                await driver(tmp_path / "tty*", board="shed-1").__aenter__()
            assert refused.value.errno == errno.ENODEV
        assert lines.drawn == [tmp_path / "tty0"], "it is not restarted again and again"
        lines.sketches.clear()
        with sketch(tmp_path / "tty1", HELLO, answers=True):
            async with driver(tmp_path / "tty*", board="shed-1") as opened:
                assert opened._link is not None
                assert opened._link.where == str(tmp_path / "tty1")


@pytest.mark.parametrize("has_dtr", [False, True])
async def test_a_sketch_that_prints_seldom_is_taken_at_the_port_that_is_named(
    tmp_path: Path,
    lines: Lines,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    has_dtr: bool,
) -> None:
    monkeypatch.setattr(sketch_house, "EVERY", 1.8)  # less than two lines in the time to answer
    with sketch(tmp_path / "tty0", OTHER) as attic:
        if has_dtr:
            lines.sketches[tmp_path / "tty0"] = None
        async with driver(tmp_path / "tty0", board="shed-1") as opened, taking(opened) as taken:
            told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
            assert len(told) == 1, told
            assert "nothing that is understood came yet (is the speed, baud, right?)" in told[0]
            assert "taken for 'shed-1', which nothing confirms" in told[0]
            await until(lambda: taken.values("temperature"))
            attic.reset()
            await until(lambda: taken.error)
            assert "'shed-1' is looked for again" in str(taken.error)
    assert len(lines.drawn) == has_dtr


async def test_a_sketch_that_prints_seldom_is_not_taken_where_the_port_is_a_pattern(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketch_house, "EVERY", 60.0)
    with (
        sketch(tmp_path / "tty0", HELLO),
        pytest.raises(OSError, match=r"'shed-1' was not found: .*says nothing that is understood"),
    ):
        await driver(tmp_path / "tty*", board="shed-1").__aenter__()
    assert not lines.drawn


async def test_a_named_port_that_never_says_anything_is_told_as_silent(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketch_house, "EVERY", 60.0)
    with sketch(tmp_path / "tty0", HELLO):
        async with driver(tmp_path / "tty0", board="shed-1", silence=0.3) as opened:
            assert not await opened.read()
            await asyncio.sleep(0.5)
            known = await opened.read()
            assert "the board has not given it for" in str(known["temperature"])
            assert "the board has not given it for" in str(known["humidity"])
    assert not lines.drawn


async def test_a_board_of_which_nothing_is_understood_is_a_problem_until_it_is(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketch_house, "EVERY", 1.8)
    monkeypatch.setattr(hearing, "MUTE_AFTER", 0.1)
    with sketch(tmp_path / "tty0", HELLO):
        async with driver(tmp_path / "tty0", board="shed-1") as opened, taking(opened) as taken:
            await until(opened.troubles)
            assert "nothing that is understood has come for 0 s and more" in opened.troubles()["serial board"]
            await until(lambda: taken.values("temperature"))
            assert opened.troubles() == {}
    assert not lines.drawn


async def test_another_board_at_the_named_port_is_refused_as_soon_as_it_says_so(
    tmp_path: Path, lines: Lines
) -> None:
    with sketch(tmp_path / "tty0", OTHER) as attic:
        async with driver(tmp_path / "tty0", board="shed-1") as opened, taking(opened) as taken:
            await until(lambda: taken.values("temperature"))
            attic.reset()
            await until(lambda: taken.error)
            assert "'shed-1' is looked for again" in str(taken.error)
        lines.sketches[tmp_path / "tty0"] = attic
        with pytest.raises(OSError, match=r"'shed-1' was not found: .*board attic-1"):
            await driver(tmp_path / "tty0", board="shed-1").__aenter__()


async def test_dtr_is_drawn_low_and_left_to_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bytes]] = []
    monkeypatch.setattr(restarting, "LOW", 0.0)
    with sketch(tmp_path / "tty0", HELLO) as shed:
        port = str(tmp_path / "tty0")
        assert not restarting.has_lines(port)
        assert not restarting.has_lines("socket://127.0.0.1:1")
        assert not restarting.has_lines(str(tmp_path / "none"))
        assert not await restarting.restart(port)  # a pty has no DTR
        monkeypatch.setattr(
            fcntl, "ioctl", lambda _port, request, argument=b"": asked.append((request, argument))
        )
        assert await restarting.restart(port)
        assert asked == [(termios.TIOCMBIC, termios.TIOCM_DTR.to_bytes(4, "little"))]
        held = os.open(port, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert not await restarting.restart(port), "somebody has the port"
            fcntl.flock(held, fcntl.LOCK_UN)
            speed = termios.tcgetattr(held)
            speed[4] = speed[5] = termios.B1200
            termios.tcsetattr(held, termios.TCSANOW, speed)
            assert not await restarting.restart(port), "at 1200 baud it would call a boot loader"
        finally:
            os.close(held)
        assert not await restarting.restart(str(tmp_path / "none"))
        assert len(asked) == 1
        shed.reset()
