"""The serial driver at boards on real ptys: readings, events, commands, and what does not fit."""

import asyncio
import contextlib
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.driver import SerialDriver
from firmware_bridge.messages import Channel
from firmware_bridge.noise import NoisyWire
from firmware_bridge.values import Kind
from iotxmpp.agent.drivers import Pushing, create_driver
from iotxmpp.agent.opening import OpenedDriver
from iotxmpp.backoff import Backoff
from iotxmpp.errors import ArgumentsError, CommandError, CommandFailedError, ConfigError, UnknownCommandError
from tests.unit.pty_house import READINGS, board, driver, plugged, profile, set_command, taking, until


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
            # Who reports them puts the channel before them.
            assert str(known["temperature"]).endswith("] the board gives K, the profile says Cel; change one")
            assert "] the board gives str, the profile says float" in str(known["humidity"])
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


async def test_an_event_that_has_not_come_is_no_problem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    readings = READINGS | {"pressed": {"type": "int"}, "rain": {"type": "int", "unit": "mm"}}
    caplog.set_level("INFO")
    with plugged(board(), tmp_path / "tty0"):
        async with driver(tmp_path / "tty0", profile(readings=readings)) as opened, taking(opened) as taken:
            await until(lambda: taken.samples)
            known = await opened.read()
            assert "pressed" not in known
            assert "no channel 'rain', it has temperature, humidity" in str(known["rain"])
            assert opened.troubles() == {}
            assert "no channel of the board, so waited for as events: pressed" in caplog.messages


async def test_a_misspelt_name_that_may_be_an_event_is_told_with_the_channel_that_is_meant(
    tmp_path: Path,
) -> None:
    uno = board(channels=(Channel(index=0, kind=Kind.BOOL, name="held"),))
    kind = profile(readings={"hled": {"type": "bool"}})
    with plugged(uno, tmp_path / "tty0"):
        async with driver(tmp_path / "tty0", kind) as opened:
            await until(opened.troubles)
            (said,) = (text for key, text in opened.troubles().items() if key == "serial channels")
            assert said.startswith("the board gives held, which the profile does not have")
            assert said.endswith("meant by hled, which it gives as events at most?")


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
