// Without any library: an LM35 on A0 and a TEMT6000 on A1, as text lines.
void setup() {
  Serial.begin(115200);
  Serial.println(F("@hello id=weather-1 name=weather version=1.0.0"));
}

void loop() {
  Serial.print(F("temperature="));
  Serial.print(analogRead(A0) * (500.0 / 1024));
  Serial.print(F(" light="));
  Serial.println(analogRead(A1) * (1000.0 / 1024));
  delay(10000);
}
