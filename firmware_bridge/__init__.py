"""The link to microcontrollers: text lines from any sketch, and frames that describe themselves.

See docs/serial.md. `firmware_bridge.board.BoardSession` is the whole of it without I/O.
"""
