// A button between pin 2 and ground: an event for each press, and whether it is held.
#include <Iotxmpp.h>

const uint8_t pin = 2;

enum { HELD };
constexpr IotxChannel channels[] PROGMEM = {
  {"held", "", IOTX_BOOL},
};

constexpr IotxAbout about PROGMEM = {"button-1", "button", "1.0.0"};
Iotxmpp board(about, channels);

bool held = false;
uint16_t changed = 0;

void setup() {
  pinMode(pin, INPUT_PULLUP);
  Serial.begin(115200);
  board.begin(Serial);
}

void loop() {
  board.run();
  bool now = digitalRead(pin) == LOW;
  bool settled = (uint16_t)(millis() - changed) > 20;  // contacts bounce for some milliseconds
  if (now != held && settled) {
    held = now;
    changed = millis();
    if (held) board.event(F("pressed"));
    board.report(HELD, held);
  }
  if (board.every(60000)) board.report(HELD, held);
}
