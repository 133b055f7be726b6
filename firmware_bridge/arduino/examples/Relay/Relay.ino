// Four relays on pins 4 to 7, switched on by a low level as most relay boards are.
#include <Iotxmpp.h>

const uint8_t firstPin = 4;

constexpr IotxChannel channels[] PROGMEM = {
  {"relay/1", "", IOTX_BOOL},
  {"relay/2", "", IOTX_BOOL},
  {"relay/3", "", IOTX_BOOL},
  {"relay/4", "", IOTX_BOOL},
};

bool isOn(uint8_t relay) {
  return digitalRead(firstPin + relay) == LOW;
}

uint8_t setRelay(IotxCall *call) {
  int32_t relay = call->integer(0);
  if (relay < 1 || relay > 4) return call->fail(F("relay 1 to 4"));
  digitalWrite(firstPin + relay - 1, call->flag(1) ? LOW : HIGH);
  return call->done(isOn(relay - 1));
}

constexpr IotxCommand commands[] PROGMEM = {
  {"switch", setRelay, IOTX_IDEMPOTENT, {{"channel", IOTX_INT}, {"on", IOTX_BOOL}}},
};

constexpr IotxAbout about PROGMEM = {"relay-1", "relay4", "1.0.0"};
Iotxmpp board(about, channels, commands);

void setup() {
  for (uint8_t pin = firstPin; pin < firstPin + 4; pin++) {
    digitalWrite(pin, HIGH);
    pinMode(pin, OUTPUT);
  }
  Serial.begin(115200);
  board.begin(Serial);
}

void loop() {
  board.run();
  if (board.every(1000)) board.report(0, isOn(0), 1, isOn(1), 2, isOn(2), 3, isOn(3));
}
