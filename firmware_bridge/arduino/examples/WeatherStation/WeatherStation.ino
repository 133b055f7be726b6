// An LM35 on A0 and a TEMT6000 on A1: temperature and light every ten seconds, or as the host asks.
#include <Iotxmpp.h>

enum { TEMPERATURE, LIGHT };
constexpr IotxChannel channels[] PROGMEM = {
  {"temperature", "Cel", IOTX_FLOAT, {0, 150}},
  {"light", "lx", IOTX_FLOAT, {0, 1000}},
};

uint32_t interval = 10000;

uint8_t setInterval(IotxCall *call) {
  interval = call->integer(0);
  return call->done();
}

constexpr IotxCommand commands[] PROGMEM = {
  {"interval", setInterval, IOTX_IDEMPOTENT, {{"ms", IOTX_INT}}},
};

constexpr IotxAbout about PROGMEM = {"weather-1", "weather", "1.0.0"};
Iotxmpp board(about, channels, commands);

void setup() {
  Serial.begin(115200);
  board.begin(Serial);
}

void loop() {
  board.run();
  if (board.every(interval)) {
    float celsius = analogRead(A0) * (500.0 / 1024);
    float lux = analogRead(A1) * (1000.0 / 1024);
    board.report(TEMPERATURE, celsius, LIGHT, lux);
  }
}
