"""The Arduino library under simavr: a value is what the sketch meant, or is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge.events import Logged, Sampled
from tests.arduino import build
from tests.arduino.uno import Host, Uno, running

SKETCH = """#include <Iotxmpp.h>
enum { UP, PULSES, OPEN, MODE, NOTE };
const IotxChannel channels[] PROGMEM = {
  {"up", "s", IOTX_FLOAT},
  {"pulses", "", IOTX_INT},
  {"open", "", IOTX_BOOL},
  {"mode", "", IOTX_TEXT},
  {"note", "", IOTX_TEXT},
};
const IotxAbout about PROGMEM = {"values-1", "values", "1.0.0"};
Iotxmpp board(about, channels);

void tell(const __FlashStringHelper *what, bool said) {
  Serial.print(F("# "));
  Serial.print(what);
  Serial.println(said ? F(" true") : F(" false"));
}

void setup() {
  Serial.begin(115200);
  board.begin(Serial);
}

void loop() {
  board.run();
  if (!board.every(200)) return;
  tell(F("good"), board.report(UP, 3000000000UL, PULSES, 2147483647UL, MODE, F("auto"), NOTE, String("hi")));
  tell(F("small"), board.report(UP, 65535U, PULSES, 65535U, OPEN, true, MODE, "open"));
  tell(F("number"), board.report(UP, -1L, PULSES, 3000000000UL));
  tell(F("flash"), board.report(OPEN, F("auto")));
  tell(F("string"), board.report(OPEN, String("auto")));
}
"""

POINTER = """#include <Iotxmpp.h>
const IotxChannel channels[] PROGMEM = {{"open", "", IOTX_BOOL}};
const IotxAbout about PROGMEM = {"values-1", "values", "1.0.0"};
Iotxmpp board(about, channels);
int number;
uint8_t run(IotxCall *call) { return DONE; }
const IotxCommand command PROGMEM = {"run", run};
void setup() { REPORT; }
void loop() {}
"""

TABLES = """#include <Iotxmpp.h>
const IotxChannel channels[] PROGMEM = {{"%(channel)s", "%(unit)s", IOTX_FLOAT, {-40, 85}}};
uint8_t water(IotxCall *call) { return call->done(call->integer(0)); }
const IotxCommand commands[] PROGMEM = {{"%(command)s", water, 0, {
  {"%(argument)s", IOTX_INT}, {"duration-2", IOTX_INT}, {"duration-3", IOTX_INT}, {"duration-4", IOTX_INT}}}};
const IotxAbout about PROGMEM = {"%(id)s", "%(name)s", "%(version)s"};
Iotxmpp board(about, channels, commands);
void setup() { Serial.begin(115200); board.begin(Serial); }
void loop() { board.run(); if (board.every(200)) board.report(0, 21.5); }
"""
LONGEST = {
    "channel": "temperature-outside",
    "unit": "abcdefghi",
    "command": "water-the-green",
    "argument": "duration-s",
    "id": "weather-station-all",
    "name": "weather-greenhouses",
    "version": "1.0.0-beta1",
}

RESULTS = """#include <Iotxmpp.h>
const IotxChannel channels[] PROGMEM = {{"t", "", IOTX_FLOAT}};
uint8_t run(IotxCall *call) {
  switch (call->integer(0)) {
    case 0: return call->done(-42);
    case 1: return call->done(analogRead(A0) * 0 + 7);
    case 2: return call->done(21.5);
    case 3: return call->done((uint8_t)3);
    case 4: return call->done(65535U);
    case 5: return call->done(3000000000UL);
    case 6: return call->done(-2147483647L);
    case 7: return call->done(1.5f);
    default: return call->done(call->integer(0) == 8);
  }
}
const IotxCommand commands[] PROGMEM = {{"run", run, 0, {{"which", IOTX_INT}}}};
const IotxAbout about PROGMEM = {"results-1", "results", "1.0.0"};
Iotxmpp board(about, channels, commands);
void setup() { Serial.begin(115200); board.begin(Serial); }
void loop() { board.run(); }
"""


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    build.require()


def sketch(text: str, folder: Path) -> build.Firmware:
    source = folder / "Values.ino"
    source.write_text(text, encoding="utf-8")
    return build.sketch(source, folder)


@contextmanager
def flashed(firmware: build.Firmware, folder: Path) -> Iterator[Uno]:
    source = Path(build.__file__).with_name("simavr_uno.c")
    simulator = build.program(
        source, folder, "-isystem", "/usr/include/simavr", libraries=["-lsimavr", "-lelf"]
    )
    with running(simulator, firmware.elf) as uno:
        yield uno


def test_a_value_is_what_the_sketch_meant_or_is_left_out_and_told(tmp_path: Path) -> None:
    with flashed(sketch(SKETCH, tmp_path), tmp_path) as uno:
        host = Host(uno.port)
        host.until(lambda: sum(event == Logged(level=1, text="string false") for event in host.events) >= 2)
        host.close()
    said = {event.text for event in host.events if isinstance(event, Logged)}
    assert said == {"good true", "small true", "number false", "flash false", "string false"}
    values = [event.values for event in host.events if isinstance(event, Sampled) and event.values]
    assert {"up": 3e9, "pulses": 2**31 - 1, "mode": "auto", "note": "hi"} in values
    assert {"up": 65535.0, "pulses": 65535, "open": True, "mode": "open"} in values
    assert {"up": -1.0} in values
    assert {value for each in values for value in [each.get("open")]} == {None, True}
    assert {each["pulses"] for each in values if "pulses" in each} == {2**31 - 1, 65535}


@pytest.mark.parametrize(
    ("report", "done"),
    [("board.report(0, &number)", "call->done()"), ("", 'call->done("text")')],
)
def test_a_pointer_does_not_pass_for_a_truth_value(report: str, done: str, tmp_path: Path) -> None:
    good = POINTER.replace("REPORT", "board.report(0, number == 0)").replace("DONE", "call->done(true)")
    sketch(good, tmp_path)
    with pytest.raises(AssertionError, match="deleted function"):
        sketch(POINTER.replace("REPORT", report).replace("DONE", done), tmp_path)


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("water, 0", "[](IotxCall *call) -> uint8_t { return call->done(); }, 0"),
        ('{"weather-station-all"', "{variable"),
        ("call->integer(0)", 'String("abc")'),
    ],
)
def test_what_is_known_only_when_it_runs_does_not_compile(given: str, instead: str, tmp_path: Path) -> None:
    """A table of it would be empty in flash, and the sketch crash."""
    text = TABLES % LONGEST
    assert given in text
    with pytest.raises(AssertionError, match="error:"):
        sketch('char variable[] = "shed-1";\n' + text.replace(given, instead), tmp_path)


@pytest.mark.parametrize(
    ("given", "instead"),
    [("IOTX_FLOAT", "kind"), ('"abcdefghi"', "unit"), ("water, 0", "pointer, 0"), ('"1.0.0-beta1"', "unit")],
)
def test_a_variable_in_a_constexpr_table_does_not_compile(given: str, instead: str, tmp_path: Path) -> None:
    text = (TABLES % LONGEST).replace("const Iotx", "constexpr Iotx").replace(" PROGMEM", "")
    head, _, rest = text.partition("\n")
    variables = (
        'uint8_t kind = 0;\nchar unit[] = "m";\nuint8_t water(IotxCall *call);\niotx_handler pointer = water;'
    )
    text = f"{head}\n{variables}\n{rest}"
    sketch(text, tmp_path)
    assert given in text
    with pytest.raises(AssertionError, match="error:"):
        sketch(text.replace(given, instead), tmp_path)


@pytest.mark.parametrize(
    "function",
    [
        "void water(IotxCall *call) { call->done(); }",
        "uint8_t water() { return IOTX_DONE; }",
        "uint8_t water(IotxCall call) { return call.done(); }",
    ],
)
def test_a_handler_of_another_form_does_not_compile_and_the_right_form_is_told(
    function: str, tmp_path: Path
) -> None:
    text = TABLES % LONGEST
    given = "uint8_t water(IotxCall *call) { return call->done(call->integer(0)); }"
    assert given in text
    with pytest.raises(AssertionError, match=r"a command's function is: uint8_t name\(IotxCall \*call\)"):
        sketch(text.replace(given, function), tmp_path)


@pytest.mark.parametrize(
    ("given", "instead", "why"),
    [
        ("const IotxChannel", "IotxChannel", "must be const"),
        ("board(about", 'board({"a", "b", "1"}', "deleted function"),
        ("(about, channels", '(about, {{"t", "", IOTX_FLOAT}}', "deleted function"),
        ("channels, commands", 'channels, {{"run", water}}', "deleted function"),
    ],
)
def test_a_table_that_cannot_lie_in_flash_does_not_compile(
    given: str, instead: str, why: str, tmp_path: Path
) -> None:
    text = (TABLES % LONGEST).replace(" PROGMEM", "")
    assert given in text
    with pytest.raises(AssertionError, match=why):
        sketch(text.replace(given, instead), tmp_path)


@pytest.mark.parametrize("count", [255, 256])
def test_a_board_has_at_most_255_channels(count: int, tmp_path: Path) -> None:
    rows = ", ".join(f'{{"c{number}", "", IOTX_BOOL}}' for number in range(count))
    text = (TABLES % LONGEST).replace(
        '{{"temperature-outside", "abcdefghi", IOTX_FLOAT, {-40, 85}}}', f"{{{rows}}}"
    )
    assert f"c{count - 1}" in text
    if count == 255:
        assert sketch(text, tmp_path).flash < 32_256
        return
    with pytest.raises(AssertionError, match="at most 255 channels"):
        sketch(text, tmp_path)


@pytest.mark.parametrize("table", LONGEST)
def test_a_text_of_a_table_that_is_too_long_does_not_compile(table: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="this text of a table is too long"):
        sketch(TABLES % {**LONGEST, table: LONGEST[table] + "x"}, tmp_path)


@pytest.mark.parametrize("word", [" PROGMEM", ""])
def test_the_longest_texts_of_tables_arrive_whole_also_where_progmem_was_forgotten(
    word: str, tmp_path: Path
) -> None:
    firmware = sketch((TABLES % LONGEST).replace(" PROGMEM", word), tmp_path)
    with flashed(firmware, tmp_path) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.description)
        answer = host.answer(
            host.call(
                "water-the-green", **{LONGEST["argument"]: 7}, **{f"duration-{at}": at for at in (2, 3, 4)}
            )
        )
        assert answer.value == 7
        board, description = host.session.board, host.session.description
        assert board is not None
        assert description is not None
        (channel,), (command,) = description.channels, description.commands
        host.close()
    assert (board.id, board.name, board.version) == (LONGEST["id"], LONGEST["name"], LONGEST["version"])
    assert (channel.name, channel.unit) == (LONGEST["channel"], LONGEST["unit"])
    assert command.name == LONGEST["command"]
    assert [each.name for each in command.parameters] == [
        LONGEST["argument"],
        "duration-2",
        "duration-3",
        "duration-4",
    ]


def test_a_command_may_give_any_number_as_its_result(tmp_path: Path) -> None:
    with flashed(sketch(RESULTS, tmp_path), tmp_path) as uno:
        host = Host(uno.port)
        host.until(lambda: host.session.description)
        found = [host.answer(host.call("run", which=which)).value for which in range(10)]
        host.close()
    assert found == [-42, 7, 21.5, 3, 65535, 3e9, -(2**31) + 1, 1.5, True, False]


def test_a_relay_answers_the_highest_number_that_an_older_host_gives(tmp_path: Path) -> None:
    """An `int` of an Uno ends at 32,767."""
    source = build.LIBRARY / "examples" / "RelayText" / "RelayText.ino"
    with (
        flashed(build.sketch(source, tmp_path, library=False), tmp_path) as uno,
        Path(uno.port).open("r+b", buffering=0) as port,
    ):
        while b"@hello" not in port.readline():
            pass
        port.write(b">65535 switch channel=1 on=true\n")
        assert port.readline() == b"<65535 ok\r\n"
