"""The board's C core, compiled here with sanitizers: the common test vectors, its messages, and any bytes."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from firmware_bridge.frames import Damage, Frame, Splitter, encode_frame
from firmware_bridge.messages import (
    Call,
    Channel,
    Command,
    Describe,
    Event,
    Hello,
    Log,
    Message,
    Report,
    Result,
    Status,
    Sync,
    Synced,
    Who,
    parse_message,
    write_message,
)
from firmware_bridge.values import Kind, write_arguments
from tests.arduino import build
from tests.fuzz.c_core import plant

FUZZ = build.ROOT / "tests" / "fuzz"
VECTORS = json.loads((build.ROOT / "firmware_bridge" / "vectors.json").read_text(encoding="utf-8"))
LONGEST_TO_BOARD = 55
"""Bytes of a body in a frame of 60."""

UNO = ("-DIOTX_BODY=72", "-DIOTX_ANSWER=20")
"""An Uno's buffers."""

MIX = (Kind.FLOAT, Kind.INT, Kind.BOOL, Kind.STR)
COUNT, MIXED, FAIL, BUSY, FINISH, WARM, SYNCED = range(7)


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    build.require()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c-core")


def run(binary: Path, data: bytes = b"", *words: str) -> bytes:
    return subprocess.run([binary, *words], input=data, capture_output=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def codec(folder: Path) -> Path:
    """With buffers for the longest bodies, which no board has to take."""
    return build.program(FUZZ / "c_core_vectors.c", folder, *build.SANITIZED, "-DIOTX_RX=255")


def lines(codec: Path, asked: Sequence[str]) -> list[str]:
    return run(codec, "".join(f"{line}\n" for line in asked).encode()).decode().splitlines()


def test_its_frames_are_those_of_the_vectors(codec: Path) -> None:
    messages = [vector for vector in VECTORS if vector["kind"] == "message"]
    assert len(messages) >= 40
    assert lines(codec, [f"E {vector['body']}" for vector in messages]) == [
        vector["frame"] for vector in messages
    ]


def test_it_reads_the_vectors_frames_and_refuses_the_damaged(codec: Path) -> None:
    vectors = [vector for vector in VECTORS if vector["kind"] in {"message", "damaged"}]
    told = lines(codec, [f"D {vector['frame']}" for vector in vectors])
    for vector, bodies in zip(vectors, told, strict=True):
        if vector["kind"] == "message":
            assert bodies == f"{vector['body']},", vector["name"]
        elif vector["error"] in {"check", "stuffing", "length"}:
            assert bodies == "", vector["name"]


def test_it_finds_the_frames_in_the_vectors_streams(codec: Path) -> None:
    streams = [vector for vector in VECTORS if vector["kind"] == "stream"]
    told = lines(codec, [f"D {vector['stream']}" for vector in streams])
    for vector, bodies in zip(streams, told, strict=True):
        wanted = [piece["body"] for piece in vector["pieces"] if "body" in piece]
        found = bodies.split(",")[:-1]
        # The board's decoder reads no text, so it also takes a frame whose opening zero was lost.
        assert found[len(found) - len(wanted) :] == wanted, vector["name"]
        assert len(found) == len(wanted) or vector["name"] == "stream-opening-lost"


def test_a_run_over_the_end_is_refused_though_its_check_fits(codec: Path) -> None:
    good = bytearray(encode_frame(b"\x10"))
    assert lines(codec, [f"D {good.hex()}"]) == ["10,"]
    good[1] += 1
    assert lines(codec, [f"D {good.hex()}"]) == [""]


class Board:
    """The C core as a process that is asked one thing after another."""

    def __init__(self, binary: Path, boot: int = 7, *words: str) -> None:
        self.child = subprocess.Popen(
            [binary, str(boot), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.splitter = Splitter()
        self.messages: list[Message] = []

    def feed(self, data: bytes) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def ask(self, *messages: Message) -> None:
        for message in messages:
            self.feed(encode_frame(write_message(message)))

    def all(self) -> list[Message]:
        """What it said, after its end."""
        out, _ = self.child.communicate(timeout=20)
        assert self.child.returncode == 0
        pieces = self.splitter.feed(out)
        assert not any(isinstance(piece, Damage) for piece in pieces)
        return [parse_message(piece.body) for piece in pieces if isinstance(piece, Frame)]


@pytest.fixture(scope="module")
def stdio(folder: Path) -> Path:
    """With an Uno's buffers."""
    return build.program(FUZZ / "c_core_stdio.c", folder, *build.SANITIZED, *UNO)


@pytest.fixture
def board(stdio: Path) -> Iterator[Board]:
    made = Board(stdio)
    yield made
    made.child.kill()
    made.child.communicate()


def results(messages: Sequence[Message]) -> list[Result]:
    return [message for message in messages if isinstance(message, Result)]


def call(number: int, index: int, data: bytes = b"", boot: int = 7) -> Call:
    return Call(call=number, boot=boot, index=index, data=data)


def test_it_says_who_it_is_and_what_it_has(board: Board) -> None:
    board.ask(Who(), *(Describe(index=index) for index in range(5)))
    board.ask(*(Describe(command=True, index=index) for index in range(8)))
    first, second, *rest = board.all()
    assert isinstance(first, Hello)
    assert isinstance(second, Hello)
    assert (first.started, second.started) == (True, False)
    assert (first.id, first.name, first.version, first.boot, first.rx) == ("bench-1", "bench", "1.0.0", 7, 60)
    channels = [message for message in rest if isinstance(message, Channel)]
    commands = [message for message in rest if isinstance(message, Command)]
    assert (len(channels), len(commands)) == (first.channels, first.commands) == (4, 7)
    assert channels[0] == Channel(index=0, kind=Kind.FLOAT, name="temperature", unit="Cel", low=-40, high=85)
    assert channels[3] == Channel(index=3, kind=Kind.STR, name="mode")
    assert [(each.name, each.idempotent) for each in commands[:2]] == [("count", False), ("mix", True)]
    assert [each.optional for each in commands[1].parameters] == [False, False, False, True]
    vector = [*map(write_message, channels), *map(write_message, commands)]
    assert first.schema == int.from_bytes(bytes.fromhex(schema_hex(vector)), "big")


def schema_hex(bodies: Sequence[bytes]) -> str:
    """The check over the bodies, bit by bit, apart from both sides' own code."""
    crc = 0xFFFF
    for byte in b"".join(bodies):
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return f"{crc ^ 0xFFFF:04x}"


def test_a_call_runs_once_however_often_it_comes(board: Board) -> None:
    board.ask(*[call(9, COUNT)] * 3, call(10, COUNT), call(10, COUNT))
    board.ask(call(9, COUNT))  # older than the last one: it is new to the board, as hosts never go back
    assert [(each.call, each.value) for each in results(board.all())] == [
        (9, 1), (9, 1), (9, 1), (10, 2), (10, 2), (9, 3)
    ]  # fmt: skip


def test_who_makes_it_forget_the_last_calls_number(board: Board) -> None:
    board.ask(call(9, COUNT), call(9, COUNT), Who(), call(9, COUNT), call(9, COUNT))
    assert [(each.call, each.value) for each in results(board.all())] == [(9, 1), (9, 1), (9, 2), (9, 2)]


def test_a_long_command_that_a_new_host_did_not_ask_for_ends_without_a_result(board: Board) -> None:
    board.ask(call(1, BUSY), Who(), call(2, FINISH), call(1, COUNT))
    assert [(each.call, each.status, each.value) for each in results(board.all())] == [
        (1, Status.BUSY, None),
        (2, Status.DONE, None),
        (1, Status.DONE, 1),
    ]


def test_a_call_to_another_boot_never_runs(board: Board) -> None:
    board.ask(call(1, COUNT, boot=8), call(1, COUNT, boot=8), call(1, COUNT), call(1, COUNT))
    assert [(each.status, each.value) for each in results(board.all())] == [
        (Status.OTHER_BOOT, None),
        (Status.OTHER_BOOT, None),
        (Status.DONE, 1),
        (Status.DONE, 1),
    ]


def test_arguments_arrive_as_they_are(board: Board) -> None:
    board.ask(
        call(1, MIXED, write_arguments(MIX, (1.5, -70000, True, "Öl"))),
        call(2, MIXED, write_arguments(MIX, (-0.25, 2**31 - 1, False, None))),
        call(3, MIXED, write_arguments(MIX, (0, 0, True, "x" * 30))),
    )
    assert [(each.status, each.text) for each in results(board.all())] == [
        (Status.DONE, "1.500 -70000 1 Öl"),
        (Status.DONE, "-0.250 2147483647 0 "),
        (Status.DONE, "0.000 0 1 xxxxxxxxxx"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x00\x00\xc0",
        write_arguments(MIX[:3], (1.5, 1, True)),
        write_arguments(MIX, (1.5, 1, True, "on")) + b"\0",
        write_arguments(MIX, (1.5, 1, True, "on"))[:-1],
        write_arguments(MIX, (1.5, 1, None, "on")),
        b"\x02" + write_arguments(MIX, (1.5, 1, True, "on"))[1:],
        write_arguments(MIX[:3], (1.5, 1, True)) + b"\x01\xff",
        write_arguments(MIX[:3], (1.5, 1, True)) + b"\x01",
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(data: bytes, board: Board) -> None:
    board.ask(call(1, MIXED, data), call(2, COUNT, b"\0"), call(3, 7), call(4, 255))
    assert [each.status for each in results(board.all())] == [
        Status.BAD_ARGUMENTS,
        Status.BAD_ARGUMENTS,
        Status.UNKNOWN_COMMAND,
        Status.UNKNOWN_COMMAND,
    ]


def test_answers_carry_texts_and_values(board: Board) -> None:
    board.ask(call(1, FAIL), call(2, WARM), call(3, SYNCED), Sync(token=3, unix=1_800_000_000, ms=250))
    board.ask(call(4, SYNCED))
    messages = board.all()
    assert [(each.status, each.text, each.value) for each in results(messages)] == [
        (Status.FAILED, "jammed: kälte €", None),  # cut to 20 bytes, and not inside a character
        (Status.DONE, "", 21.5),
        (Status.DONE, "", 0),
        (Status.DONE, "", 1_800_000_000),
    ]
    assert [message.token for message in messages if isinstance(message, Synced)] == [3]


def test_a_long_command_answers_busy_until_it_is_finished(board: Board) -> None:
    board.ask(call(1, BUSY), call(1, BUSY), call(2, FINISH), call(3, COUNT))
    messages = board.all()
    assert [(each.call, each.status, each.value) for each in results(messages)] == [
        (1, Status.BUSY, None),
        (1, Status.BUSY, None),
        (2, Status.DONE, None),
        (3, Status.DONE, 1),  # what its handler fed to the core did not run
    ]
    assert sum(isinstance(message, Event) for message in messages) == 1


def test_what_a_sketch_says_arrives(stdio: Path) -> None:
    _, full, many, pressed, long, *logs = Board(stdio, 7, "say").all()
    assert isinstance(full, Report)
    assert isinstance(many, Report)
    assert isinstance(pressed, Event)
    assert isinstance(long, Event)
    assert full.data == bytes.fromhex("000000ac4101f9ffffff020103056bc3bc686c")
    assert many.data == b"\x01\x05\0\0\0" * 13
    assert [each.seq for each in (full, many, pressed, long)] == [0, 1, 2, 3]
    assert (pressed.name, pressed.text) == ("pressed", "twice")
    assert long.name == "long"
    assert set(long.text) == {"a"}
    assert len(write_message(long)) == 72
    texts = [log.text for log in logs if isinstance(log, Log)]
    assert [log.level for log in logs if isinstance(log, Log)] == [1, 1, 1, 1, 3]
    assert all(set(text) == {"a"} and len(text) == 69 for text in texts[:-1])
    assert texts[-1] == "too hot"


def test_frames_longer_than_its_buffer_are_dropped_and_the_next_is_heard(board: Board) -> None:
    longest = write_arguments(MIX, (1.0, 1, True, "x" * (LONGEST_TO_BOARD - 22)))
    assert len(encode_frame(write_message(call(1, MIXED, longest)))) == 60
    board.ask(call(1, MIXED, longest), call(2, MIXED, longest[:-34] + b"\x22" + b"x" * 34), call(3, COUNT))
    assert [each.call for each in results(board.all())] == [1, 3]


def test_noise_before_a_frame_costs_nothing(board: Board) -> None:
    board.feed(b"temperature=21\n> hello\xff" * 20)
    board.ask(call(1, COUNT))
    board.feed(encode_frame(write_message(call(2, COUNT)))[:-3])
    board.ask(call(3, COUNT))
    assert [(each.call, each.value) for each in results(board.all())] == [(1, 1), (3, 2)]


@pytest.mark.parametrize(("seed", "options"), [(1, UNO), (2, ["-DIOTX_RX=255"])])
def test_a_million_bytes_of_rubbish_break_nothing(seed: int, options: Sequence[str], folder: Path) -> None:
    fuzz = build.program(FUZZ / "c_core_fuzz.c", folder, *build.SANITIZED, *options)
    told = dict(zip(*[iter(run(fuzz, b"", str(seed), "1000000").decode().split())] * 2, strict=True))
    assert int(told["fed"]) >= 1_000_000
    assert int(told["frames"]) > 10_000
    assert int(told["runs"]) > 100


FEED_FILES = """
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **words) {
    static uint8_t input[600];
    for (int at = 1; at < count; at++) {
        FILE *file = fopen(words[at], "rb");
        if (file == NULL) return 1;
        LLVMFuzzerTestOneInput(input, fread(input, 1, sizeof input, file));
        fclose(file);
    }
    printf("%d inputs\\n", count - 1);
    return 0;
}
"""


def test_the_fuzz_target_takes_its_first_corpus(tmp_path: Path) -> None:
    """As libFuzzer calls it, but built by gcc: clang is needed for `make fuzz` alone."""
    feeder, corpus = tmp_path / "feed_files.c", tmp_path / "corpus"
    feeder.write_text(FEED_FILES, encoding="utf-8")
    plant(corpus)
    options = (*build.SANITIZED, "-DLIBFUZZER", "-DIOTX_BODY=72", str(feeder))
    target = build.program(FUZZ / "c_core_fuzz.c", tmp_path, *options)
    files = sorted(corpus.iterdir())
    assert run(target, b"", *map(str, files)).decode() == f"{len(files)} inputs\n"


def test_the_fuzz_corpus_begins_with_the_vectors(tmp_path: Path) -> None:
    plant(tmp_path)
    calls = [path for path in tmp_path.iterdir() if path.read_bytes()[1] == 0x12]
    assert len(calls) >= 2


@pytest.mark.parametrize("processor", ["atmega328p", "atmega2560", "atmega32u4", "atmega8", "attiny85"])
def test_it_compiles_for_other_processors(processor: str, folder: Path) -> None:
    build.library_for(processor, folder)


def test_the_stack_is_bounded_and_small(folder: Path) -> None:
    assert 0 < build.stack_depth(folder) < 160
