"""The Arduino library: its size on an Uno, and its sketches under simavr against the host's own session."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

import device_profiles
from firmware_bridge.driver import SerialDriver
from firmware_bridge.events import Answered, Gap, Happened, Logged, Outcome, Restarted, Sampled
from firmware_bridge.noise import NoisyWire
from iotxmpp.agent.drivers import Sample
from tests.arduino import build
from tests.arduino.uno import Host, running
from tests.unit.documents import blocks

EXAMPLES = build.LIBRARY / "examples"
MOST_FLASH = 4608
"""Bytes: 4.5 KB. A whole sketch has fewer, with Arduino's core."""

MOST_RAM = 400
SHARE_OF_FLASH = 3200
"""What a sketch with the library takes beyond one that only echoes its serial port."""

SHARE_OF_RAM = 210


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    build.require()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arduino")


@pytest.fixture(scope="module")
def simulator(folder: Path) -> Path:
    source = Path(build.__file__).with_name("simavr_uno.c")
    return build.program(source, folder, "-isystem", "/usr/include/simavr", libraries=["-lsimavr", "-lelf"])


@pytest.fixture(scope="module")
def counting(folder: Path) -> Path:
    return build.sketch(Path(build.__file__).parent / "Counting" / "Counting.ino", folder).elf


@pytest.fixture
def host(simulator: Path, counting: Path) -> Iterator[Host]:
    with running(simulator, counting) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.description)
        yield host
        host.close()


def samples(host: Host) -> list[Sampled]:
    return [event for event in host.events if isinstance(event, Sampled)]


ECHO = """void setup() {
  Serial.begin(115200);
}

void loop() {
  if (Serial.available()) Serial.write(Serial.read());
}
"""


@pytest.fixture(scope="module")
def echo(folder: Path) -> build.Firmware:
    """What the serial port takes without the library."""
    source = folder / "Echo.ino"
    source.write_text(ECHO, encoding="utf-8")
    return build.sketch(source, folder, library=False)


@pytest.mark.parametrize("name", ["WeatherStation", "Relay", "Button"])
def test_each_example_with_the_library_fits_an_uno_with_room_to_spare(
    name: str, folder: Path, echo: build.Firmware
) -> None:
    firmware = build.sketch(EXAMPLES / name / f"{name}.ino", folder)
    assert firmware.flash < MOST_FLASH
    assert firmware.ram < MOST_RAM
    assert 0 < firmware.flash - echo.flash < SHARE_OF_FLASH
    assert 0 < firmware.ram - echo.ram < SHARE_OF_RAM


@pytest.mark.parametrize(("size", "builds"), [(15, False), (16, True), (255, True), (256, False)])
def test_the_receive_buffer_has_the_sizes_of_the_protocol(size: int, builds: bool, folder: Path) -> None:
    if builds:
        build.library_for("atmega328p", folder, f"-DIOTX_RX={size}")
        return
    with pytest.raises(AssertionError, match="descriptions_fit"):
        build.library_for("atmega328p", folder, f"-DIOTX_RX={size}")


@pytest.mark.parametrize("source", sorted(EXAMPLES.glob("*/*.ino")), ids=lambda path: path.stem)
def test_every_example_builds_and_fits_one_screen(source: Path, folder: Path) -> None:
    assert source.parent.name == source.stem
    text = source.read_text(encoding="utf-8")
    firmware = build.sketch(source, folder, library="Iotxmpp.h" in text)
    assert firmware.flash < 32_256
    assert len(text.splitlines()) <= 55
    assert max(map(len, text.splitlines())) <= 100


def test_the_sketch_in_the_readme_builds(folder: Path) -> None:
    text = (build.LIBRARY / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```cpp\n(#include.*?)```", text, re.DOTALL)
    assert found is not None
    source = folder / "Readme.ino"
    source.write_text(found[1], encoding="utf-8")
    assert build.sketch(source, folder).flash < MOST_FLASH


SKETCHES = [
    pytest.param(block.text, id=f"{block.file}:{block.line}")
    for block in blocks("cpp")
    if "void setup()" in block.text
]


def test_the_sketches_of_the_documents_are_found() -> None:
    assert sum("docs/serial.md" in str(each.id) for each in SKETCHES) >= 3


@pytest.mark.parametrize("text", SKETCHES)
def test_a_sketch_in_a_document_builds(text: str, folder: Path) -> None:
    source = folder / f"Page{abs(hash(text))}.ino"
    source.write_text(text, encoding="utf-8")
    assert build.sketch(source, folder, library="Iotxmpp.h" in text).flash < 32_256


def test_every_name_of_the_library_is_a_keyword() -> None:
    """The IDE colours what stands in keywords.txt; tabs part its columns."""
    words = dict(
        line.split("\t") for line in (build.LIBRARY / "keywords.txt").read_text(encoding="utf-8").splitlines()
    )
    header = (build.SOURCES / "Iotxmpp.h").read_text(encoding="utf-8")
    public = header.partition("private:")[0]
    methods = set(re.findall(r"^    (?:void|bool|uint32_t) (\w+)\(", public, re.MULTILINE))
    assert methods >= {"begin", "run", "every", "report", "event", "log", "finish", "unixTime"}
    assert methods <= set(words)


def test_the_weather_station_says_what_it_measures(simulator: Path, folder: Path) -> None:
    firmware = build.sketch(EXAMPLES / "WeatherStation" / "WeatherStation.ino", folder)
    with running(simulator, firmware.elf, millivolts=[215, 1000]) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.description)
        assert host.answer(host.call("interval", ms=50)).outcome is Outcome.DONE
        host.until(lambda: len(samples(host)) >= 3)
        host.close()
    board = host.session.board
    assert board is not None
    assert (board.level, board.id, board.name, board.version) == (1, "weather-1", "weather", "1.0.0")
    assert samples(host)[0].values == {
        "temperature": pytest.approx(21.5, abs=0.6),
        "light": pytest.approx(200, abs=2),
    }


@pytest.mark.parametrize("name", ["WeatherStation", "WeatherStationText"])
async def test_the_shipped_profile_serves_the_weather_station_as_it_is_flashed(
    name: str, simulator: Path, folder: Path
) -> None:
    level = 0 if name.endswith("Text") else 1
    firmware = build.sketch(EXAMPLES / name / f"{name}.ino", folder, library=level == 1)
    profile = device_profiles.load("weather-station")
    with running(simulator, firmware.elf, millivolts=[215, 1000]) as uno:
        async with SerialDriver(profile=profile, settings={"port": uno.port}) as driver, asyncio.timeout(60):
            if level == 1:
                assert await driver.command("interval", {"ms": 50}) is None
            taken = [sample async for sample in first(driver, 3 if level == 1 else 1)]
            assert driver.troubles() == {}
    for sample in taken:
        assert sample.values.keys() == profile.channels().keys()
        assert sample.values["temperature"] == pytest.approx(21.5, abs=0.6)
        assert sample.values["light"] == pytest.approx(200, abs=2)


async def first(driver: SerialDriver, count: int) -> AsyncIterator[Sample]:
    async for sample in driver.samples():
        if not sample.values:  # that it works
            continue
        yield sample
        count -= 1
        if not count:
            return


async def test_the_weather_station_describes_itself_as_the_shipped_profile_does(
    simulator: Path, folder: Path
) -> None:
    firmware = build.sketch(EXAMPLES / "WeatherStation" / "WeatherStation.ino", folder)
    with running(simulator, firmware.elf) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.description)
        host.close()
    found = host.session.description
    assert found is not None
    profile = device_profiles.load("weather-station")
    kinds = profile.reading_kinds()
    assert {each.name: (each.unit, each.low, each.high) for each in found.channels} == {
        name: (kind.unit, *(kind.range or ())) for name, kind in kinds.items()
    }
    assert {
        each.name: (each.idempotent, [argument.name for argument in each.parameters])
        for each in found.commands
    } == {name: (kind.idempotent, list(kind.args)) for name, kind in profile.commands.items()}


def test_the_weather_station_without_a_library_is_understood(simulator: Path, folder: Path) -> None:
    source = EXAMPLES / "WeatherStationText" / "WeatherStationText.ino"
    firmware = build.sketch(source, folder, library=False)
    with running(simulator, firmware.elf, millivolts=[215, 1000]) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.board and samples(host))
        host.close()
    board = host.session.board
    assert board is not None
    assert (board.level, board.id, board.version) == (0, "weather-1", "1.0.0")
    assert samples(host)[0].values == {
        "temperature": pytest.approx(21.5, abs=0.6),
        "light": pytest.approx(200, abs=2),
    }


@pytest.mark.parametrize("name", ["Relay", "RelayText"])
def test_the_relays_switch(name: str, simulator: Path, folder: Path) -> None:
    firmware = build.sketch(EXAMPLES / name / f"{name}.ino", folder, library=name == "Relay")
    with running(simulator, firmware.elf) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.board)
        for on in (True, False):
            answer = host.answer(host.call("switch", channel=2, on=on))
            assert answer.outcome is Outcome.DONE
            assert answer.value == (on if name == "Relay" else None)
        refused = host.answer(host.call("switch", channel=5, on=True))
        assert refused.outcome is Outcome.FAILED
        assert "1 to 4" in refused.text
        host.close()


def test_200_commands_each_run_once_and_nothing_is_lost(host: Host) -> None:
    for number in range(1, 201):
        answer = host.answer(host.call("count"))
        assert (answer.outcome, answer.value) == (Outcome.DONE, number)
    host.until(lambda: samples(host)[-1:] and samples(host)[-1].values["runs"] == 200)
    counts = host.session.counts
    assert (counts.damaged, counts.gaps, counts.repeated, host.lost) == (0, 0, 0, 0)
    assert Logged(level=1, text="started") in host.events
    assert Logged(level=1, text="tick") in host.events


def test_every_kind_of_value_arrives_and_the_time_is_right(host: Host) -> None:
    for _ in range(3):
        host.answer(host.call("count"))
    answer = host.answer(host.call("turn", open=True))
    assert (answer.outcome, answer.value) == (Outcome.DONE, True)
    host.until(lambda: samples(host)[-1:] and samples(host)[-1].values["open"] is True)
    last = samples(host)[-1]
    assert last.values == {"temperature": 23.0, "runs": 3, "open": True, "mode": "open"}
    assert last.at == pytest.approx(time.time(), abs=0.5)
    host.until(lambda: any(isinstance(event, Happened) for event in host.events))
    happened = next(event for event in host.events if isinstance(event, Happened))
    assert (happened.name, happened.text) == ("third", "of ten")


def test_refusals_say_why(host: Host) -> None:
    answer = host.answer(host.call("refuse", why="zu kalt, Tür ist offen"))
    assert (answer.outcome, answer.text) == (Outcome.FAILED, "zu kalt, Tür ist of")
    assert host.answer(host.call("refuse")).text == "no reason"


def test_a_long_command_runs_once_and_its_end_is_told(host: Host) -> None:
    began = time.monotonic()
    assert host.answer(host.call("slow")).outcome is Outcome.DONE
    assert time.monotonic() - began > 0.5
    assert host.answer(host.call("count")).value == 2
    assert host.session.counts.damaged == 0


@pytest.mark.parametrize(("rate", "calls"), [(0.001, 200), (0.01, 60)])
def test_byte_errors_neither_lose_a_command_nor_run_it_twice(
    rate: float, calls: int, simulator: Path, counting: Path
) -> None:
    wire = NoisyWire(5, damage=rate / 2, lose=rate / 4, repeat=rate / 4)
    with running(simulator, counting) as uno:
        host = Host(uno.port, wire.carry)
        host.until(lambda: host.session.description, 30.0)
        answers: list[Answered] = []
        while len(answers) < calls:
            host.until(lambda: host.session.description, 30.0)
            answers.append(host.answer(host.call("count")))
        host.close()
    assert host.session.counts.damaged > 0
    assert host.session.counts.retries > 0
    done = [answer for answer in answers if answer.outcome is Outcome.DONE]
    unknown = [answer for answer in answers if answer.outcome is Outcome.UNKNOWN]
    assert len(done) + len(unknown) == calls
    # Each answered run has a number of its own, and what was not answered ran at most once.
    numbers = [answer.value for answer in done if isinstance(answer.value, int)]
    assert len(numbers) == len(done)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= calls
    assert len(unknown) <= host.lost
    assert len(unknown) <= (0 if rate < 0.01 else 2)


def test_a_reset_in_the_middle_gives_unknown_and_no_second_run(simulator: Path, counting: Path) -> None:
    with running(simulator, counting) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.description)
        assert host.answer(host.call("count")).value == 1
        first = host.session.board
        token = host.call("slow")
        host.until(lambda: host.session.counts.retries >= 1)
        uno.reset()
        answer = host.answer(token)
        host.until(lambda: host.session.description)
        assert answer.outcome is Outcome.UNKNOWN
        assert "restarted" in answer.text
        assert sum(isinstance(event, Restarted) for event in host.events) == 1
        second = host.session.board
        assert first is not None
        assert second is not None
        assert first.boot != second.boot
        assert host.answer(host.call("count")).value == 1
        host.until(lambda: len([each for each in samples(host) if each.values["runs"] == 1]) >= 3)
        assert not any(isinstance(event, Gap) for event in host.events)
        host.close()


def started(host: Host, restarts: int) -> bool:
    return host.session.counts.restarts == restarts and host.session.board is not None


def test_each_of_ten_starts_has_another_boot(simulator: Path, counting: Path) -> None:
    boots = set()
    with running(simulator, counting) as uno:
        host = Host(uno.port)
        for number in range(10):
            host.until(partial(started, host, number))
            assert host.session.board is not None
            boots.add(host.session.board.boot)
            uno.reset()
        host.close()
    assert len(boots) == 10
