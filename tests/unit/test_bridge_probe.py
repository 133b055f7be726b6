"""`iotxmpp serial probe`: the speed is found, and what speaks is told from noise."""

import asyncio
import json
import termios
import time
from itertools import permutations
from pathlib import Path

import pytest

from firmware_bridge.crc import crc16
from firmware_bridge.findings import Findings
from firmware_bridge.hearsay import MOST_NAMES, SURE_READINGS, Hearsay
from firmware_bridge.noise import NoisyWire
from firmware_bridge.probing import BAUDS, Probe
from firmware_bridge.simulated import SimulatedBoard
from tests.unit.probe_house import HELLO, LINE, Speaking, every, hurry, probed
from tests.unit.pty_house import Plugged, board, plugged


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


class OtherSpeed(NoisyWire):
    """A wire that gives noise unless the host listens at the right speed."""

    def __init__(self, speed: int) -> None:
        super().__init__(1)
        self._speed = speed
        self.master = -1

    def carry(self, data: bytes) -> bytes:
        if self.master < 0 or termios.tcgetattr(self.master)[5] != self._speed:
            return bytes(byte ^ 0xA5 for byte in data)
        return data


async def found_by(probe: Probe) -> Findings | None:
    try:
        return await probe.find()
    finally:
        await probe.close()


def speaking_at(speed: int, uno: SimulatedBoard, path: Path) -> Plugged:
    wire = OtherSpeed(speed)
    house = Plugged(uno, path, up=wire)
    wire.master = house.master
    return house


@pytest.mark.parametrize(
    ("level", "speed", "baud"),
    [
        (0, termios.B9600, 9600),
        (1, termios.B57600, 57_600),
        (0, termios.B460800, 460_800),
        (1, termios.B921600, 921_600),
    ],
)
async def test_the_speed_is_found(tmp_path: Path, level: int, speed: int, baud: int) -> None:
    house = speaking_at(speed, board(level=level, every=0.02), tmp_path / "tty0")
    told: list[str] = []
    try:
        found = await found_by(Probe(str(tmp_path / "tty0"), tell=told.append))
    finally:
        house.pull()
    assert found is not None
    assert found.baud == baud
    assert told[0].endswith("listening at 115200 baud")


async def test_the_speed_at_which_an_esp8266_says_why_it_started_is_one_of_them(tmp_path: Path) -> None:
    assert 74_880 in BAUDS
    wire = OtherSpeed(0o010000)  # as the C library gives a speed that has no name of its own
    house = Plugged(board(level=0, every=0.02), tmp_path / "tty0", up=wire)
    wire.master = house.master
    try:
        found = await found_by(Probe(str(tmp_path / "tty0"), bauds=(74_880,), tell=print))
    finally:
        house.pull()
    assert found is not None
    assert found.baud == 74_880


def test_the_guide_lists_the_speeds_that_are_tried() -> None:
    page = (Path(__file__).parents[2] / "docs" / "serial-guide.md").read_text(encoding="utf-8")
    assert ", ".join(map(str, sorted(BAUDS))) in page.replace("\n", " ")


async def test_a_silent_port_says_what_may_be_wrong(tmp_path: Path) -> None:
    uno = board()
    uno.silent = True
    with plugged(uno, tmp_path / "tty0"):
        probe = Probe(str(tmp_path / "tty0"), bauds=(115_200, 9600), tell=lambda _text: None)
        start = time.monotonic()
        assert await found_by(probe) is None
        assert 1.4 < time.monotonic() - start < 4.0
        assert "nothing came at any speed" in probe.nothing()
        assert "reset button" in probe.nothing()
        assert "--baud" in probe.nothing()
        assert "--seconds" in probe.nothing()


async def test_text_of_another_form_is_shown_as_it_is(tmp_path: Path) -> None:
    uno = board(level=0, every=0.0)
    with plugged(uno, tmp_path / "tty0") as house:
        probe = Probe(str(tmp_path / "tty0"), bauds=(115_200,), tell=lambda _text: None)
        finding = asyncio.create_task(found_by(probe))
        await asyncio.sleep(0.1)
        uno.silent = True
        for _ in range(20):
            house.write(b"Temp: 21.5 C\r\n")
        assert await finding is None
        assert "Temp: 21.5 C" in probe.nothing()


def test_points_tell_lines_and_frames_from_noise() -> None:
    lines, noise, air = Hearsay(), Hearsay(), Hearsay()
    lines.take(b"perature=2\ntemperature=21.5\n" * 5)
    noise.take(bytes(byte ^ 0xA5 for byte in b"temperature=21.5\r\n" * 20) + b"\n" * 3)
    air.take(bytes.fromhex("424d001c000500080009000500080009039f01090034000500010000970002cf") * 3)
    assert lines.is_sure
    assert noise.worth <= 0
    assert not noise.is_sure


GOOD = b"temperature=21.5\n"
DEGREE = b"Temp: 21.5 \xb0C\n"
"""What `Serial.print((char)176)` gives: no UTF-8, so the line is damaged."""


@pytest.mark.parametrize(
    "lines",
    [GOOD + DEGREE, DEGREE + GOOD, b"t=21.5\nh=\xff\xfe\nh==4\n", b"h==4\nh=\xff\xfe\nt=21.5\n"],
)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_reading_that_comes_again_is_sure_whatever_stands_between(lines: bytes, size: int) -> None:
    heard = Hearsay()
    came = lines * (SURE_READINGS + 1)
    for start in range(0, len(came), size):
        heard.take(came[start : start + size])
    assert heard.is_sure
    assert heard.worth > 0


def test_readings_amid_garbage_and_readings_of_ever_other_names_are_not_sure() -> None:
    amid, others = Hearsay(), Hearsay()
    amid.take(b"\n" + (b"\xff\xfe\x80" * 20 + b"\n" + b"a=1\n") * 50)
    others.take(b"".join(b"n%d=1\nTemp \xb0C\n" % number for number in range(2 * MOST_NAMES)))
    assert not amid.is_sure
    assert amid.worth <= 0
    assert not others.is_sure
    assert len(others.readings) == MOST_NAMES


@pytest.mark.parametrize("text", [LINE, GOOD, GOOD + DEGREE, HELLO + LINE, b"a=1 b=2 c=3\n", b"UUUU=UUU\n"])
def test_at_no_wrong_speed_is_any_text_a_reading(text: bytes) -> None:
    for sent, at in permutations(BAUDS, 2):
        heard = Hearsay()
        heard.take(misheard(text * 8, sent / at))
        assert (heard.is_sure, heard.readings) == (False, {}), f"{sent} heard at {at}"
    right = Hearsay()
    right.take(misheard(text * 8, 1.0))
    assert right.is_sure


def misheard(text: bytes, ratio: float) -> bytes:
    """What a receiver makes of bytes on the wire (one start bit, eight, one stop bit) at another speed.

    Args:
        text: What is sent, without pauses.
        ratio: The sender's bits in one of the receiver's.
    """
    sent = b"".join(bytes((0, *((byte >> place) & 1 for place in range(8)), 1)) for byte in text)
    bits = sent + b"\1" * round(10 * ratio + 1)
    heard = bytearray()
    at = 0.0
    while (start := bits.find(0, int(at))) >= 0:
        at = max(at, start)
        places = [min(int(at + (1.5 + place) * ratio), len(bits) - 1) for place in range(8)]
        heard.append(sum(bits[each] << place for place, each in enumerate(places)))
        at += 9.5 * ratio
    return bytes(heard)


@pytest.mark.parametrize("lines", [(GOOD, DEGREE), (DEGREE, GOOD)])
async def test_a_sketch_whose_every_second_line_is_good_is_understood(
    lines: tuple[bytes, bytes], tmp_path: Path
) -> None:
    with Speaking(tmp_path / "tty0", termios.B115200, every(0.02, b"".join(lines))):
        result = await probed(str(tmp_path / "tty0"), "--baud", "115200", "--seconds", "3", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["channels"] == {"temperature": 21.5}


@pytest.mark.parametrize(
    "line",
    [b"@hello id=shed-1 version=1.0.0\n", b"temperature=21.5 *" + b"%04X\n" % crc16(b"temperature=21.5")],
)
def test_one_hello_or_one_check_is_sure_and_one_line_is_good(line: bytes) -> None:
    vouched, plain, damaged = Hearsay(), Hearsay(), Hearsay()
    vouched.take(b"\xff\xfe\n\xfd\n" + line)
    assert vouched.is_sure
    plain.take(b"temperature=21.5\n")
    assert (plain.is_sure, plain.is_good) == (False, True)
    damaged.take(b"\n\xff\xfe\n\xfd\ntemperature=21.5\n")
    assert not damaged.is_good
    damaged.take(b"temperature=21.5\n")
    assert damaged.is_sure


async def test_a_sketch_without_a_hello_that_speaks_seldom_is_found(tmp_path: Path) -> None:
    told: list[str] = []
    probe = Probe(str(tmp_path / "tty0"), bauds=(115_200, 9600), seconds=8.0, tell=told.append)
    with Speaking(tmp_path / "tty0", termios.B9600, [(0.3, LINE), *every(0.45, LINE, 1.8)]):
        found = await found_by(probe)
    assert found is not None
    assert found.baud == 9600
    assert "speaks seldom" in told[-1]
    assert "115200" not in told[-1]  # noise came there


async def test_one_good_line_at_a_speed_beats_going_on(tmp_path: Path) -> None:
    told: list[str] = []
    with Speaking(tmp_path / "tty0", termios.B9600, every(0.25, LINE, 0.1)):
        found = await found_by(Probe(str(tmp_path / "tty0"), tell=told.append))
    assert found is not None
    assert found.baud == 9600
    assert len(told) == 2


async def test_at_a_given_speed_it_listens_for_the_given_seconds(tmp_path: Path) -> None:
    words = (str(tmp_path / "tty0"), "--baud", "115200", "--seconds", "2.5")
    with Speaking(tmp_path / "tty0", termios.B115200, [(1.6, HELLO), (1.65, LINE)]):
        start = time.monotonic()
        result = await probed(*words, "--json")
        assert 2.4 < time.monotonic() - start < 4.5
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["id"], found["channels"]["light"]) == ("weather-1", 300)
