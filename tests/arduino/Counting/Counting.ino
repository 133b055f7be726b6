// For the tests: counts its own runs, reports ten times a second, and says lines between frames.
#include <Iotxmpp.h>

enum { TEMPERATURE, RUNS, OPEN, MODE };
const IotxChannel channels[] PROGMEM = {
  {"temperature", "Cel", IOTX_FLOAT, {-40, 85}},
  {"runs", "", IOTX_INT},
  {"open", "", IOTX_BOOL},
  {"mode", "", IOTX_TEXT},
};

int32_t runs = 0;
bool isOpen = false;
uint16_t slowCall;
uint32_t slowUntil = 0;

uint8_t count(IotxCall *call) {
  runs++;
  return call->done(runs);
}

uint8_t turn(IotxCall *call) {
  isOpen = call->flag(0);
  return call->done(isOpen);
}

uint8_t slow(IotxCall *call) {
  runs++;
  slowCall = call->id();
  slowUntil = millis() + 600;
  return IOTX_BUSY;
}

uint8_t refuse(IotxCall *call) {
  return call->fail(call->text(0, "no reason"));
}

const IotxCommand commands[] PROGMEM = {
  {"count", count},
  {"turn", turn, IOTX_IDEMPOTENT, {{"open", IOTX_BOOL}}},
  {"slow", slow},
  {"refuse", refuse, 0, {{"why", IOTX_TEXT, IOTX_OPTIONAL}}},
};

const IotxAbout about PROGMEM = {"counting-1", "counting", "1.0.0"};
Iotxmpp board(about, channels, commands);

void setup() {
  Serial.begin(115200);
  board.begin(Serial);
  board.log(IOTX_INFO, F("started"));
}

void loop() {
  board.run();
  if (slowUntil && millis() > slowUntil) {
    slowUntil = 0;
    board.finish(slowCall);
  }
  if (board.every(100)) {
    board.report(TEMPERATURE, 20 + runs, RUNS, runs, OPEN, isOpen, MODE, isOpen ? "open" : "shut");
    if (runs % 10 == 3) board.event(F("third"), "of ten");
    Serial.println(F("# tick"));
  }
}
