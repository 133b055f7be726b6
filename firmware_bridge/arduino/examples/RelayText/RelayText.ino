// Without any library: four relays on pins 4 to 7.
// The host sends lines such as: >17 switch channel=1 on=true
const uint8_t pins[] = {4, 5, 6, 7};

void hello() {
  Serial.println(F("@hello id=relay-1 name=relay4 version=1.0.0"));
}

void setup() {
  for (uint8_t pin : pins) {
    digitalWrite(pin, HIGH);  // off: most relay boards switch on by a low level
    pinMode(pin, OUTPUT);
  }
  Serial.begin(115200);
  Serial.setTimeout(50);
  hello();
}

void answer(String line) {
  long number = line.substring(1).toInt();  // up to 32,767; an older host goes up to 65,535
  int channel = line.substring(line.indexOf("channel=") + 8).toInt();
  if (line.indexOf(" hello") > 0) return hello();
  Serial.print('<');
  Serial.print(number);
  if (line.indexOf(" switch ") < 0) {
    Serial.println(F(" error no such command"));
  } else if (channel < 1 || channel > 4) {
    Serial.println(F(" error channel 1 to 4"));
  } else {
    digitalWrite(pins[channel - 1], line.indexOf("on=true") > 0 ? LOW : HIGH);
    Serial.println(F(" ok"));
  }
}

void loop() {
  if (Serial.available()) {
    String line = Serial.readStringUntil('\n');
    if (line.startsWith(">")) answer(line);
  }
}
