// Without any library: a button between pin 2 and ground, as text lines.
const uint8_t pin = 2;
bool held = false;

void setup() {
  pinMode(pin, INPUT_PULLUP);
  Serial.begin(115200);
  Serial.println(F("@hello id=button-1 name=button version=1.0.0"));
}

void loop() {
  bool now = digitalRead(pin) == LOW;
  if (now == held) return;
  held = now;
  Serial.println(held ? F("held=true") : F("held=false"));
  if (held) Serial.println(F("!pressed"));
  delay(20);  // contacts bounce for some milliseconds
}
