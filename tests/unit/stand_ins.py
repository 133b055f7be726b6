"""Programs that stand in for those that write firmware, and a boot loader that the real avrdude speaks to."""

import sys
from collections.abc import Callable
from pathlib import Path

AVRDUDE = """#!{python}
import fcntl, os, sys, time
port = sys.argv[sys.argv.index("-P") + 1]
held = os.open(port, os.O_RDWR | os.O_NOCTTY)
fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
def say(text):
    sys.stderr.write(text)
    sys.stderr.flush()
say("avrdude: AVR device initialized and ready to accept instructions\\n")
say("avrdude: writing flash (924 bytes):\\n\\nWriting | ")
mode = open({mode!r}).read()
for tick in range(50):
    say("#")
    time.sleep(0.002)
    if tick == 20 and mode == "fail":
        say("\\navrdude: stk500_recv(): programmer is not responding\\n")
        sys.exit(1)
    if tick == 20 and mode == "hang":
        time.sleep(60)
say(" | 100% 0.16s\\n\\navrdude: 924 bytes of flash written\\n\\navrdude done.  Thank you.\\n")
os.close(held)
if mode == "good":
    open({mode!r}, "w").write("written")
"""

ESPTOOL = """#!{python}
import argparse
words = argparse.ArgumentParser(allow_abbrev=False)
for names in (("--chip", "-c"), ("--port",), ("--baud", "-b"), ("--before",), ("--after", "-a")):
    words.add_argument(*names)
words.add_argument("--no-stub", action="store_true")
write = words.add_subparsers(required=True).add_parser("write-flash", allow_abbrev=False)
write.add_argument("--flash-mode", "-fm")
write.add_argument("--erase-all", "-e", action="store_true")
write.add_argument("address", type=lambda text: int(text, 0))
write.add_argument("file", type=open)
given = words.parse_args()
print("esptool v5.0.2\\nConnecting....\\nChip type: ESP32-D0WD (revision v1.0)")
for done in (0, 25, 50, 75, 100):
    print(f"\\rWriting at 0x00010000 [====>    ] {{done}}.0% {{done * 10}}/1000 bytes...", end="", flush=True)
print(f"\\nHash of data verified.\\n{{given.chip}} {{given.baud}} {{given.flash_mode}} {{given.address:#x}}")
open({mode!r}, "w").write("written")
"""
"""As esptool 5 it takes some options before its command alone, and others after it."""

SMPMGR = """#!{python}
import argparse, time
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
words = argparse.ArgumentParser(allow_abbrev=False)
for name in ("--port", "--timeout", "--baudrate", "--mtu"):
    words.add_argument(name)
upgrade = words.add_subparsers(required=True).add_parser("upgrade", allow_abbrev=False)
upgrade.add_argument("--slot", type=int, default=0)
upgrade.add_argument("--confirm", action="store_true")
upgrade.add_argument("file", type=open)
given = words.parse_args()
columns = TextColumn("[bold blue]{{task.fields[filename]}}"), BarColumn(), "{{task.percentage:>3.1f}}%"
with Progress(*columns, DownloadColumn(), TimeRemainingColumn()) as progress:
    task = progress.add_task("Uploading", total=150, filename=given.file.name)
    for offset in range(150):
        if open({mode!r}).read() == "hang" and offset == 20:
            time.sleep(60)
        time.sleep(0.02)
        progress.update(task, completed=offset + 1)
print(f"upgraded slot {{given.slot}} {{given.confirm}} {{given.baudrate}}")
open({mode!r}, "w").write("written")
"""
"""As smpmgr it says how far it is to a terminal alone, there again and again."""


def stand_in(folder: Path, name: str, script: str, mode: str = "good") -> Path:
    """Puts a program into a folder; returns the file that says what it does, and what it did."""
    told = folder / f"{name}.mode"
    told.write_text(mode)
    program = folder / name
    program.write_text(script.format(python=sys.executable, mode=str(told)))
    program.chmod(0o755)
    return told


class Optiboot:
    """The boot loader of an Uno (STK500, version 1), as far as avrdude asks.

    Args:
        left: Called when the program is started.
    """

    SIZES = {  # noqa: RUF012  # a table of the protocol
        0x30: 2,
        0x41: 3,
        0x42: 22,
        0x45: 7,
        0x50: 2,
        0x51: 2,
        0x55: 4,
        0x56: 6,
        0x74: 5,
        0x75: 2,
    }
    IN_SYNC, OK = b"\x14", b"\x10"

    def __init__(self, left: Callable[[], None]) -> None:
        self.flash = bytearray(b"\xff" * 32_768)
        self._left = left
        self._buffer = bytearray()
        self._address = 0

    def receive(self, data: bytes) -> bytes:
        """Takes bytes, and returns the answers."""
        self._buffer += data
        answers = b""
        while self._buffer:
            kind = self._buffer[0]
            size = self.SIZES.get(kind)
            if kind == 0x64 and len(self._buffer) >= 3:
                size = 5 + int.from_bytes(self._buffer[1:3], "big")
            if kind != 0x64 and size is None:
                del self._buffer[0]
                continue
            if size is None or len(self._buffer) < size:
                break
            request, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
            answers += self.IN_SYNC + self._answer(request) + self.OK
        return answers

    def _answer(self, request: bytes) -> bytes:
        match request[0]:
            case 0x41:
                return b"\x04" if request[1] in {0x81, 0x82} else b"\x03"
            case 0x51:
                self._left()
            case 0x55:
                self._address = int.from_bytes(request[1:3], "little") * 2
            case 0x56:
                return b"\0"
            case 0x64:
                page = request[4:-1]
                self.flash[self._address : self._address + len(page)] = page
            case 0x74:
                size = int.from_bytes(request[1:3], "big")
                return bytes(self.flash[self._address : self._address + size])
            case 0x75:
                return b"\x1e\x95\x0f"
        return b""
