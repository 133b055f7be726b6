"""The link to microcontrollers: text lines (`firmware_bridge.lines`)."""
