"""The serial driver at boards on real ptys: hello, readings, commands, faults, and what is told of them."""

import asyncio
import contextlib
import errno
import os
import random
import sys
import time
import tracemalloc
from asyncio.subprocess import PIPE
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge import asking, boardclock
from firmware_bridge.driver import SerialDriver
from firmware_bridge.messages import Channel
from firmware_bridge.noise import NoisyWire
from firmware_bridge.port import explained
from firmware_bridge.values import Kind
from iotxmpp.agent.drivers import Pushing, create_driver
from iotxmpp.agent.opening import OpenedDriver
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    CommandUnknownError,
    ConfigError,
    UnknownCommandError,
)
from tests.unit.pty_house import (
    READINGS,
    board,
    driver,
    plugged,
    profile,
    set_command,
    taking,
    until,
)

HOLD = """
import fcntl, os, sys, time
f = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(f, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("level", [0, 1])
async def test_a_board_gives_its_readings(tmp_path: Path, level: int) -> None:
    with plugged(board(level=level), tmp_path / "tty0"):
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            assert isinstance(opened, Pushing)
            await until(lambda: len(taken.values("temperature")) > 4)
            values = [float(str(each)) for each in taken.values("temperature")]
            assert [b - a for a, b in pairwise(values)] == [0.25] * (len(values) - 1)
            assert abs((taken.samples[-1].at or 0) - time.time()) < 1
            known = await opened.read()
            assert known["temperature"] == taken.values("temperature")[-1]
            assert opened.troubles() == {}


async def test_the_driver_is_found_by_its_kind() -> None:
    made = create_driver(profile(), {"port": "/dev/none"})
    assert isinstance(made, SerialDriver)


@pytest.mark.parametrize("level", [0, 1])
async def test_200_commands_run_once_each(tmp_path: Path, level: int) -> None:
    uno = board(level=level)
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0") as opened:
            for number in range(200):
                assert await opened.command("set", {"number": number}) == number
    assert [arguments["number"] for _, arguments in uno.ran] == list(range(200))


@pytest.mark.parametrize(("damage", "calls"), [(0.001, 200), (0.01, 40)])
async def test_commands_run_at_most_once_over_a_noisy_line(tmp_path: Path, damage: float, calls: int) -> None:
    uno = board()
    noise = {"up": NoisyWire(3, damage=damage), "down": NoisyWire(4, damage=damage)}
    done = []
    with plugged(uno, tmp_path / "tty0", **noise):
        opened = OpenedDriver(lambda: driver(tmp_path / "tty0"), backoff=Backoff(first=0.01, longest=0.01))
        async with opened:
            for number in range(calls):
                with contextlib.suppress(CommandError, OSError):
                    assert await opened.command("set", {"number": number}) == number
                    done.append(number)
    ran = [arguments["number"] for _, arguments in uno.ran]
    assert len(ran) == len(set(ran))
    assert set(done) <= set(ran)
    assert len(done) >= calls * 0.95


async def test_a_board_that_is_back_under_another_name_is_found(tmp_path: Path) -> None:
    got: list[float] = []
    failed: list[Exception] = []
    opened = OpenedDriver(
        lambda: driver(tmp_path / "tty*", board="sim-1"),
        take=lambda sample: got.append(time.monotonic()),
        failed=failed.append,
        backoff=Backoff(first=0.05, longest=0.1),
    )
    async with opened:
        with plugged(board(), tmp_path / "tty0"):
            await until(lambda: got)
        await until(lambda: failed)
        assert "unplug" in str(failed[0])
        got.clear()
        with plugged(board(id="other"), tmp_path / "tty1"), plugged(board(), tmp_path / "tty7"):
            await until(lambda: len(got) > 2)


async def test_two_boards_with_one_id_are_both_refused(tmp_path: Path) -> None:
    with plugged(board(), tmp_path / "tty0"), plugged(board(), tmp_path / "tty1"):
        with pytest.raises(OSError, match=r"2 boards say that they are 'sim-1'.*tty0.*tty1") as refused:
            await driver(tmp_path / "tty*", board="sim-1").__aenter__()
        assert refused.value.errno == errno.ENOTUNIQ
        with pytest.raises(OSError, match="several boards; say which"):
            await driver(tmp_path / "tty*").__aenter__()
        async with driver(tmp_path / "tty0", board="sim-1") as first, taking(first) as taken:
            await until(lambda: taken.samples)


async def test_the_board_that_is_wanted_is_chosen_by_its_hello(tmp_path: Path) -> None:
    wanted = board(id="b", value=lambda channel, number: 7.0)
    with plugged(board(id="a"), tmp_path / "tty0"), plugged(wanted, tmp_path / "tty1"):
        async with driver(tmp_path / "tty*", board="b") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            assert taken.values("temperature")[0] == 7.0
        with pytest.raises(OSError, match=r"board 'c' was not found: .*board a, sim.*board b, sim"):
            await driver(tmp_path / "tty*", board="c").__aenter__()


async def test_a_port_that_another_program_holds_is_told_with_its_name(tmp_path: Path) -> None:
    with plugged(board(), tmp_path / "tty0"):
        words = [sys.executable, "-c", HOLD, str(tmp_path / "tty0")]
        child = await asyncio.create_subprocess_exec(*words, stdout=PIPE)
        assert child.stdout is not None
        try:
            assert await child.stdout.readline() == b"held\n"
            with pytest.raises(OSError, match=rf"held by python.* \(process {child.pid}\)") as refused:
                await driver(tmp_path / "tty0").__aenter__()
            assert refused.value.errno == errno.EBUSY
        finally:
            child.kill()
            await child.wait()
        async with driver(tmp_path / "tty0"):
            with pytest.raises(OSError, match="held by"):
                await driver(tmp_path / "tty0").__aenter__()


async def test_a_port_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not there; plug the board in"):
        await driver(tmp_path / "none").__aenter__()
    with pytest.raises(OSError, match=r"tty\*: no such port"):
        await driver(tmp_path / "tty*").__aenter__()
    (tmp_path / "file").write_text("no port")
    with pytest.raises(OSError, match="no serial port"):
        await driver(tmp_path / "file").__aenter__()


def test_a_missing_permission_names_the_group() -> None:
    error = explained(PermissionError(errno.EACCES, "Permission denied"), "/dev/ttyUSB99")
    assert "sudo usermod -aG dialout" in str(error)


async def test_a_restart_in_the_middle_of_a_command_leaves_it_unknown(tmp_path: Path) -> None:
    uno = board(commands=(set_command(lasts=5.0),))
    with plugged(uno, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0") as opened:
            call = asyncio.create_task(opened.command("set", {"number": 1}))
            await until(lambda: uno._running)
            uno.restart(asyncio.get_running_loop().time())
            house._turn()
            with pytest.raises(CommandUnknownError, match="unknown, started: the board restarted"):
                await call


async def test_pulling_the_plug_in_a_command_leaves_it_unknown_and_the_next_not_started(
    tmp_path: Path,
) -> None:
    uno = board(commands=(set_command(lasts=5.0),))
    with plugged(uno, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            call = asyncio.create_task(opened.command("set", {"number": 1}))
            await until(lambda: uno._running)
            house.pull()
            with pytest.raises(CommandUnknownError, match="unknown, started"):
                await call
            with pytest.raises(CommandError, match="not started: the board is not connected"):
                await opened.command("set", {"number": 2})
            await until(lambda: taken.error)
            with pytest.raises(OSError, match="gone"):
                await opened.read()


async def test_a_frozen_board_is_told_and_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(boardclock, "SYNC_EVERY", 0.2)
    uno = board()
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            uno.silent = True
            await until(lambda: taken.error)
            assert isinstance(taken.error, OSError)
            assert "no answer" in str(taken.error)
        uno.silent = False
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)


def flood(line: bytes, seconds: float) -> str:
    return f"""
import os, sys, time
f = int(sys.argv[1])
os.set_blocking(f, True)
block = {line!r} * 200
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    os.write(f, block)
"""


async def test_a_flood_neither_starves_the_loop_nor_fills_the_memory(tmp_path: Path) -> None:
    quiet = board(level=0, every=0.0)
    with plugged(quiet, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0", protocol="text") as opened, taking(opened) as taken:
            house._loop.remove_reader(house.master)
            words = [sys.executable, "-c", flood(b"temperature=21.5 humidity=40\n", 2.0), str(house.master)]
            lags, counts = [], []
            tracemalloc.start()
            child = await asyncio.create_subprocess_exec(*words, pass_fds=[house.master])
            while child.returncode is None:
                start = time.monotonic()
                await asyncio.sleep(0.01)
                lags.append(time.monotonic() - start - 0.01)
                counts.append(len(taken.samples))
                taken.samples.clear()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            os.set_blocking(house.master, False)
            assert opened._link is not None
            lines = opened._link.session.counts.lines
            assert lines > 3_000
            assert opened._ear.mailbox.dropped > lines
            assert sum(counts) < lines / 10
            assert sorted(lags)[len(lags) * 9 // 10] < 0.1
            assert peak < 10_000_000


@pytest.mark.parametrize("level", [0, 1])
async def test_garbage_of_every_kind_is_survived(tmp_path: Path, level: int) -> None:
    uno = board(level=level)
    chance = random.Random(5)  # noqa: S311  # garbage that can be had again
    with plugged(uno, tmp_path / "tty0") as house:
        async with driver(tmp_path / "tty0") as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            for piece in [b"x" * 10_000_000, *(chance.randbytes(2000) for _ in range(30)), b"\0\x05\x04"]:
                for start in range(0, len(piece), 4000):
                    house.write(piece[start : start + 4000])
                    await asyncio.sleep(0)
            house.write(b"\n\0\n")
            await asyncio.sleep(0.3)
            taken.samples.clear()
            await until(lambda: len(taken.values("temperature")) > 3)
            assert opened._link is not None
            assert opened._link.session.counts.damaged > 0
            assert await opened.command("set", {"number": 3}) == 3


async def test_a_bad_line_is_told_and_is_a_channel_too(tmp_path: Path) -> None:
    readings = READINGS | {"faults": {"type": "int", "source": {"link": "damaged"}}}
    noisy = NoisyWire(3, damage=0.02)
    with plugged(board(every=0.01), tmp_path / "tty0", up=noisy):
        async with driver(tmp_path / "tty0", profile(readings=readings)) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            await until(opened.troubles)
            assert "check the cable" in opened.troubles()["serial line"]
            known = await opened.read()
            assert int(str(known["faults"])) >= 5


async def test_what_does_not_fit_the_profile_is_told_by_channel(tmp_path: Path) -> None:
    channels = (
        Channel(index=0, kind=Kind.FLOAT, name="temperature", unit="K"),
        Channel(index=1, kind=Kind.STR, name="humidity"),
        Channel(index=2, kind=Kind.FLOAT, name="wind", unit="m/s"),
    )
    readings = READINGS | {"rain": {"type": "float"}, "gust": {"type": "float", "source": {"name": "wind"}}}
    strange = board(channels=(*channels, Channel(index=3, kind=Kind.BOOL, name="door")), commands=())
    with plugged(strange, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0", profile(readings=readings)) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            known: dict[str, Any] = dict(await opened.read())
            assert "the board gives K, the profile says Cel" in str(known["temperature"])
            assert "the board gives str, the profile says float" in str(known["humidity"])
            assert "no channel 'rain', it has temperature, humidity, wind, door" in str(known["rain"])
            assert isinstance(known["gust"], float)
            assert set(taken.samples[0].values) == {"gust"}
            assert "door, which the profile does not have" in opened.troubles()["serial channels"]
            with pytest.raises(CommandError, match="the board does not have it"):
                await opened.command("set", {"number": 1})


async def test_errors_of_commands_say_what_became_of_them(tmp_path: Path) -> None:
    def refuse(arguments: object) -> None:
        raise CommandFailedError("the valve is stuck")

    stuck = set_command()
    uno = board(commands=(type(stuck)(name="set", run=refuse, parameters=stuck.parameters),))
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0") as opened:
            with pytest.raises(CommandFailedError, match="the board says: the valve is stuck"):
                await opened.command("set", {"number": 1})
            with pytest.raises(ArgumentsError, match="its frame has"):
                await opened.command("set", {"number": 1, "note": "x" * 100})
            with pytest.raises(UnknownCommandError):
                await opened.command("other", {})
            assert len(uno.ran) == 1


async def test_events_are_values_of_their_channels(tmp_path: Path) -> None:
    readings = READINGS | {
        "pressed": {"type": "str"},
        "rang": {"type": "bool"},
        "turns": {"type": "int", "source": {"name": "turned"}},
    }
    uno = board()
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0", profile(readings=readings)) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            now = asyncio.get_running_loop().time()
            for name, text in (("pressed", "long"), ("rang", ""), ("turned", ""), ("turned", ""), ("x", "")):
                uno.happen(name, text, now)
            await until(lambda: len(taken.values("turns")) > 1)
            assert taken.values("pressed") == ["long"]
            assert taken.values("rang") == [True]
            assert taken.values("turns") == [1, 2]


async def test_a_silent_board_is_a_problem_if_one_asked_for_that(tmp_path: Path) -> None:
    uno = board(level=0)
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0", silence=0.2) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            uno.silent = True
            await asyncio.sleep(0.4)
            known = await opened.read()
            assert "has not given it" in str(known["temperature"])


async def test_a_board_on_the_network_is_reached_by_its_url() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while not gone.is_set():
                writer.write(b"temperature=21.5 humidity=40\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        closed.set()

    gone, closed = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with driver(f"socket://127.0.0.1:{port}") as opened, taking(opened) as taken:
        await until(lambda: taken.samples)
        assert taken.values("temperature")[0] == 21.5
        gone.set()
        await until(lambda: taken.error)
        await closed.wait()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("name", ["weather-station", "soil-moisture", "dht22", "pms5003"])
async def test_a_simulated_board_runs_the_real_driver(name: str) -> None:
    import device_profiles

    kind = device_profiles.load(name)
    async with create_driver(kind, {"simulated": True}) as opened:
        assert isinstance(opened, SerialDriver)
        async with taking(opened) as taken:
            await until(lambda: len(taken.samples) > 0)
            assert set(taken.samples[0].values) >= set(kind.channels())
            assert all(not isinstance(each, OSError) for each in (await opened.read()).values())


async def test_a_command_of_a_simulated_board_takes_effect() -> None:
    commands = {"heat": {"args": {"to": {"type": "float"}}, "effect": {"set": "temperature", "to": "to"}}}
    async with driver("none", profile(commands=commands), simulated=True) as opened, taking(opened) as taken:
        assert await opened.command("heat", {"to": 33.5}) == 33.5
        await until(lambda: 33.5 in taken.values("temperature"))


def test_settings_that_cannot_be_are_refused() -> None:
    for settings, fault in (
        ({"baud": 1}, "baud"),
        ({"speed": 9600}, "speed"),
        ({"flash": {"tool": "hammer"}}, "tool"),
        ({"flash": {"tool": "avrdude"}}, "has no command firmware-update"),
    ):
        with pytest.raises(ConfigError, match=fault):
            driver("none", **settings)
    twice = {name: {"type": "float", "source": {"name": "t"}} for name in ("a", "b")}
    with pytest.raises(ConfigError, match=r"the same source\.name"):
        driver("none", profile(readings=twice, commands={}))
    wrong = {"a": {"type": "float", "source": {"pin": 3}}}
    with pytest.raises(ConfigError, match=r"pin in readings\.a\.source"):
        driver("none", profile(readings=wrong, commands={}))
