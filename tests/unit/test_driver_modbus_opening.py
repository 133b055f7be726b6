"""Why the modbus driver cannot be opened: hosts, ports and libraries that are not there."""

import asyncio
import errno
import re
import socket
import sys
from collections.abc import Iterator

import pytest

from iotxmpp.agent.drivers import modbus
from iotxmpp.agent.drivers.modbus import ModbusDriver, library
from iotxmpp.errors import ConfigError
from tests.unit.agent_house import until
from tests.unit.loaded import loaded_by, tops
from tests.unit.modbus_house import ONE, Device, all_closed, profile, registers, simulated


async def test_nothing_that_listens_is_told(unused: int) -> None:
    place = {"host": "127.0.0.1", "tcp_port": unused}
    with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{unused}: refused; nothing listens there"):
        async with ModbusDriver(profile=profile(ONE), settings=place):
            pass


@pytest.fixture
def unused() -> Iterator[int]:
    """A port of this machine on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("port", "number", "words"),
    [
        ("/dev/ttyUSB77", errno.ENOENT, "no such port; is the adapter plugged in"),
        ("/etc/hostname", errno.ENOTTY, "/etc/hostname: is no serial port"),
    ],
)
async def test_a_port_that_cannot_be_opened_is_told(port: str, number: int, words: str) -> None:
    with pytest.raises(OSError, match=words) as caught:
        async with ModbusDriver(profile=profile(ONE), settings={"port": port}):
            pass
    assert caught.value.errno == number


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "plc:502: unknown host 'plc' .*; check host"),
        (TimeoutError(), "plc:502: no answer within 1 s; check host and network"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "plc:502: Network is unreachable; check host"),
    ],
)
def test_why_a_host_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, fault: OSError, words: str) -> None:
    def fails(place: tuple[str, int], timeout: float) -> socket.socket:
        raise fault

    monkeypatch.setattr(socket, "create_connection", fails)
    assert re.search(words, str(library.why_unreachable("plc", 502, 1.0)))


async def test_a_host_that_answers_after_all_is_told_so() -> None:
    device = Device(registers)
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await asyncio.to_thread(library.why_unreachable, "127.0.0.1", port, 1.0)
        await until(lambda: bool(device.writers))
    await all_closed(device)
    assert "it may take no more than one at a time" in str(error)


def test_why_a_port_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("iotxmpp.agent.drivers.modbus.library.os.open", fails)
    assert "sudo usermod -aG dialout USER" in str(library.why_closed("/dev/ttyUSB0"))


async def test_settings_that_a_port_does_not_do_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(client: object) -> bool:
        raise ValueError("Failed to set custom baud rate (12345)")

    monkeypatch.setattr("pymodbus.client.AsyncModbusSerialClient.connect", fails)
    words = r"driver modbus: /dev/ttyUSB0 \(12345 baud, 8E1\): Failed to set custom baud rate"
    place = {"port": "/dev/ttyUSB0", "baud": 12345, "parity": "E"}
    with pytest.raises(ConfigError, match=words):
        async with ModbusDriver(profile=profile(ONE), settings=place):
            pass


async def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus.client", None)
    with pytest.raises(ConfigError, match=r"pymodbus is not installed; run: pip install 'iotxmpp\[modbus\]'"):
        async with simulated():
            pass


async def test_a_missing_serial_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pyserial is not installed; run: pip install 'iotxmpp\[modbus\]'"):
        async with ModbusDriver(profile=profile(ONE), settings={"port": "/dev/ttyUSB77"}):
            pass


def test_the_driver_brings_in_no_library_before_it_is_opened() -> None:
    found = tops(loaded_by(f"import {modbus.__name__}"))
    assert not found & {"pymodbus", "smbus2", "serial", "gpiozero"}
