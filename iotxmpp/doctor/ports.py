"""Serial ports: which there are, and what is probably behind them."""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iotxmpp.doctor.places import Places, entries
from iotxmpp.kernelfiles import is_serial, text_of

KINDS = ("ttyUSB*", "ttyACM*", "ttyAMA*", "serial0", "serial1")
"""Names of ports to which boards are mostly connected; another one counts where the agent's file names it."""

_SCREEN = re.compile(r"tty\d*")

_BOARDS = {
    "2341:0043": "Arduino Uno",
    "2341:0001": "Arduino Uno",
    "2341:0243": "Arduino Uno",
    "2341:0010": "Arduino Mega 2560",
    "2341:0042": "Arduino Mega 2560",
    "2341:8036": "Arduino Leonardo",
    "2341:8037": "Arduino Micro",
    "2341:1002": "Arduino Uno R4 WiFi",
    "2e8a:0005": "Raspberry Pi Pico with MicroPython",
    "2e8a:000a": "Raspberry Pi Pico",
    "303a:1001": "ESP32 by its own USB",
    "239a:800b": "Adafruit board",
    "16c0:0483": "Teensy",
    "0483:374b": "STM32 Nucleo (ST-LINK)",
    "0483:5740": "STM32 by its own USB",
}
_CHIPS = {
    "1a86:7523": ("CH340", "an Arduino Nano or Uno clone, a NodeMCU or a USB-RS485 stick"),
    "1a86:55d4": ("CH9102", "an ESP32 board"),
    "1a86:5523": ("CH341", "an Arduino clone or a USB-RS485 stick"),
    "10c4:ea60": ("CP2102", "an ESP32 or ESP8266 board"),
    "0403:6001": ("FT232R", "an Arduino Nano, or a USB-RS485 stick"),
    "0403:6015": ("FT231X", "a SparkFun board, or a USB-RS485 stick"),
    "0403:6010": ("FT2232", "a debug adapter"),
    "067b:2303": ("PL2303", "a USB serial cable"),
}
_MAKERS = {"2341": "an Arduino", "2a03": "an Arduino", "2e8a": "a Raspberry Pi Pico", "303a": "an ESP32"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SerialPort:
    """A serial port.

    Attributes:
        path: The device, such as `/dev/ttyUSB0`.
        usb: Vendor and product of its USB chip, such as `1a86:7523`; empty for none.
        driver: The kernel's driver; empty where it is not told.
        product: What the chip says that it is.
        by_id: Its name by what the chip says.
        by_path: Its name by the socket that it is in.
        meant: Whether it is a port of the device's: what its file names, or any where it names none.
    """

    path: Path
    usb: str = ""
    driver: str = ""
    product: str = ""
    by_id: Path | None = None
    by_path: Path | None = None
    meant: bool = True

    @property
    def chip(self) -> str:
        """The chip between USB and the board; empty where it is not known."""
        return _CHIPS.get(self.usb, ("", ""))[0]

    @property
    def board(self) -> str:
        """What is probably behind it; empty where nothing tells."""
        if self.usb in _BOARDS:
            return _BOARDS[self.usb]
        if self.usb in _CHIPS:
            return _CHIPS[self.usb][1]
        return _MAKERS.get(self.usb.partition(":")[0], self.product)


def serial_ports(places: Places, wanted: str = "") -> list[SerialPort]:
    """The ports of this machine, each once.

    Args:
        places: Where to look.
        wanted: The port of the device's settings, or a pattern of some, which may be of any kind; empty for
            none.
    """
    named = list(_named(wanted))
    goals = {path.resolve() for path in named}
    usual = (path for kind in KINDS for path in entries(places.dev, kind))
    found: dict[Path, SerialPort] = {}
    for path in (*usual, *(path for path in named if _is_tty(path, places))):
        goal = path.resolve()
        if goal not in found:
            found[goal] = _described(path, places, meant=not wanted or goal in goals)
    return [found[goal] for goal in sorted(found)]


def _named(wanted: str) -> Iterator[Path]:
    """What is there of what a setting names; a pattern means no screens."""
    if not wanted.startswith("/") or "\0" in wanted:
        return
    for path in map(Path, sorted(glob.glob(wanted))):  # noqa: PTH207  # a whole path
        if str(path) == wanted or not _SCREEN.fullmatch(path.name):
            yield path


def _is_tty(path: Path, places: Places) -> bool:
    """Whether it is there, and a serial port by the kernel."""
    try:
        return is_serial(path, places.sys / "dev/char")
    except OSError:
        return False


def _described(path: Path, places: Places, *, meant: bool) -> SerialPort:
    device = places.sys / "class/tty" / path.resolve().name / "device"
    usb = _usb_folder(device)
    numbers = [text_of(usb / name) for name in ("idVendor", "idProduct")] if usb else []
    driver = device / "driver"
    return SerialPort(
        path=path,
        usb=":".join(numbers).lower() if all(numbers) else "",
        driver=driver.resolve().name if driver.exists() else "",
        product=text_of(usb / "product") if usb else "",
        by_id=_link_to(path, places.dev / "serial/by-id"),
        by_path=_link_to(path, places.dev / "serial/by-path"),
        meant=meant,
    )


def _usb_folder(device: Path) -> Path | None:
    """The USB device above a port's interface."""
    if not device.exists():
        return None
    here = device.resolve()
    return next((each for each in (here, *here.parents) if (each / "idVendor").exists()), None)


def _link_to(path: Path, folder: Path) -> Path | None:
    goal = path.resolve()
    return next((link for link in entries(folder) if link.resolve() == goal), None)
