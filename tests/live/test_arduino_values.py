"""The Arduino library under simavr: a value is what the sketch meant, or is left out."""

from pathlib import Path

import pytest

from firmware_bridge.events import Logged, Sampled
from tests.arduino import build
from tests.arduino.uno import Host, running

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


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    build.require()


def sketch(text: str, folder: Path) -> build.Firmware:
    source = folder / "Values.ino"
    source.write_text(text, encoding="utf-8")
    return build.sketch(source, folder)


def test_a_value_is_what_the_sketch_meant_or_is_left_out_and_told(tmp_path: Path) -> None:
    firmware = sketch(SKETCH, tmp_path)
    simulator = build.program(
        Path(build.__file__).with_name("simavr_uno.c"),
        tmp_path,
        "-isystem",
        "/usr/include/simavr",
        libraries=["-lsimavr", "-lelf"],
    )
    with running(simulator, firmware.elf) as uno:
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
