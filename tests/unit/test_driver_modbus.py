"""The modbus driver over TCP: against its own simulated device, and against devices that misbehave."""

import asyncio
import errno
import logging
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles import load
from iotxmpp.agent.drivers import create_driver, modbus
from iotxmpp.agent.drivers.modbus import ModbusDriver, library
from iotxmpp.agent.drivers.modbus import driver as driver_module
from iotxmpp.agent.drivers.modbus.bindings import ModbusSettings, ModbusSource
from iotxmpp.errors import ArgumentsError, CommandFailedError, ConfigError
from iotxmpp.profiles import Profile, parse_profile
from tests.unit.agent_house import until
from tests.unit.documents import TEXTS, section
from tests.unit.test_layers import loaded_by, tops

HEAD = 'schema=1\nid="plant"\nversion="1.0.0"\ndriver={kind="modbus"}\n'
BOARD = (
    HEAD
    + """
[readings.relay]
type = "bool"
count = 2
source = { function = "coil", register = [0, 40] }
simulate = { wave = "steady", value = false }

[readings.door]
type = "bool"
source = { function = "discrete", register = 17 }
simulate = { wave = "steady", value = true }

[readings.setpoint]
type = "float"
unit = "Cel"
source = { register = 7, datatype = "int16", scale = 0.1 }
simulate = { wave = "steady", mean = 21.5, noise = 0 }

[readings.limit]
type = "float"
source = { register = 100, datatype = "float32", word_order = "little" }
simulate = { wave = "steady", mean = 3.3, noise = 0 }

[readings.serial-number]
type = "int"
source = { function = "input", register = 65534, datatype = "uint32" }
simulate = { wave = "steady", mean = 70000, noise = 0 }

[commands.switch]
effect = { set = "relay/{number}", to = "on", lasting = "for" }
args.number = { type = "int" }
args.on = { type = "bool" }
args.for = { type = "float", optional = true }

[commands.heat]
effect = { set = "setpoint", to = "degrees" }
args.degrees = { type = "float" }

[commands.bound]
effect = { set = "limit", to = "most" }
args.most = { type = "float" }
"""
)
AT_REST = {
    "relay/1": False,
    "relay/2": False,
    "door": True,
    "setpoint": 21.5,
    "limit": 3.3,
    "serial-number": 70_000,
}
ONE = HEAD + '[readings.x]\ntype="float"\nsource={register=0, datatype="int16"}\n'
TWO = (
    ONE + '[readings.y]\ntype="float"\nsource={register=5}\n[readings.z]\ntype="float"\nsource={register=6}\n'
)


def profile(text: str) -> Profile:
    return parse_profile(text, "plant.toml")


def simulated(text: str = BOARD, **more: object) -> ModbusDriver:
    return ModbusDriver(profile=profile(text), settings={"simulated": True, **more})


async def test_every_table_of_a_simulated_device_is_read() -> None:
    async with simulated() as device:
        assert await device.read() == AT_REST
        assert await device.read() == AT_REST


async def test_what_commands_set_is_written_and_read_back() -> None:
    async with simulated(unit=17) as device:
        assert await device.command("switch", {"number": 2, "on": True}) == {"relay/2": True}
        assert await device.command("heat", {"degrees": -3.4}) == {"setpoint": -3.4}
        assert await device.command("bound", {"most": 1234.5}) == {"limit": 1234.5}
        wanted = {**AT_REST, "relay/2": True, "setpoint": -3.4, "limit": 1234.5}
        assert await device.read() == wanted
        await device.command("switch", {"number": 2, "on": False})
        assert (await device.read())["relay/2"] is False


async def test_what_does_not_fit_is_not_written() -> None:
    async with simulated() as device:
        with pytest.raises(ArgumentsError, match=r"heat: setpoint: 99999\.0 does not fit int16"):
            await device.command("heat", {"degrees": 9999.9})
        with pytest.raises(CommandFailedError, match="plant has no channel 'relay/3'"):
            await device.command("switch", {"number": 3, "on": True})
        assert await device.read() == AT_REST


async def test_what_is_set_for_a_time_goes_back() -> None:
    async with simulated() as device:
        await device.command("switch", {"number": 1, "on": True, "for": 0.05})
        assert (await device.read())["relay/1"] is True
        for _ in range(100):
            if not (await device.read())["relay/1"]:
                break
            await asyncio.sleep(0.01)
        assert await device.read() == AT_REST
        # A later switch for good ends the time of an earlier one.
        await device.command("switch", {"number": 1, "on": True, "for": 0.05})
        await device.command("switch", {"number": 1, "on": True})
        await asyncio.sleep(0.1)
        assert (await device.read())["relay/1"] is True


@pytest.mark.parametrize("name", ["sdm120", "sdm630", "xy-md02"])
async def test_shipped_profiles_run_simulated(name: str) -> None:
    kind = load(name)
    device = ModbusDriver(profile=kind, settings={**kind.driver.settings, "simulated": True})
    async with device:
        values = await device.read()
        assert values.keys() == kind.channels().keys()
        for channel, value in values.items():
            low, high = kind.reading_kinds()[channel].range or (0.0, 0.0)
            assert isinstance(value, float)
            assert low <= value <= high


def test_the_documents_name_every_setting_and_every_key() -> None:
    (page,) = [text for text in TEXTS.values() if "\n## Modbus\n" in text]
    cells = " ".join(re.findall(r"^\| (`[^|]*)\|", section(page, "## Modbus"), re.MULTILINE))
    keys = {field.alias or name for name, field in ModbusSource.model_fields.items()}
    assert set(re.findall(r"`(\w+)`", cells)) == {*ModbusSettings.model_fields, *keys}


def test_the_driver_is_found_by_its_kind() -> None:
    assert isinstance(create_driver(load("sdm120"), {"port": "/dev/ttyUSB0"}), ModbusDriver)


Answer = Callable[[bytes], bytes]


class Device:
    """A TCP server that answers each request as a test says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while header := await reader.readexactly(7):
                request = header + await reader.readexactly(header[5] - 1)
                self.asked.append(request[7:])
                writer.write(self.answer(request))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    answer: Answer, text: str = ONE, *, timeout: float = 0.1
) -> AsyncIterator[tuple[Device, ModbusDriver]]:
    device = Device(answer)
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = {"host": "127.0.0.1", "tcp_port": port, "timeout": timeout}
    try:
        async with ModbusDriver(profile=profile(text), settings=settings) as driver:
            yield device, driver
    finally:
        server.close()
        await all_closed(device)


async def all_closed(device: Device) -> None:
    """Returns when no connection of a device that listens no more is left."""
    for _ in range(5):  # what was accepted last reaches it some turns of the loop later
        await asyncio.sleep(0)
    await asyncio.gather(*(_closed(writer) for writer in device.writers))


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except ConnectionError:
        return


def reply(request: bytes, pdu: bytes, *, unit: int | None = None) -> bytes:
    there = request[6] if unit is None else unit
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + bytes([there]) + pdu


def registers(request: bytes, value: int = 7) -> bytes:
    count = int.from_bytes(request[10:12], "big")
    return reply(request, bytes([request[7], 2 * count]) + value.to_bytes(2, "big") * count)


def refused(request: bytes, code: int) -> bytes:
    return reply(request, bytes([request[7] | 0x80, code]))


async def test_channels_beside_each_other_are_read_by_one_request() -> None:
    async with serving(registers, TWO) as (device, driver):
        assert await driver.read() == {"x": 7.0, "y": 7.0, "z": 7.0}
        assert device.asked == [bytes.fromhex("0300000007")]


def gaps_refused(request: bytes) -> bytes:
    """Serves registers 0, 5 and 6 only."""
    start, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
    if set(range(start, start + count)) <= {0, 5, 6}:
        return registers(request)
    return refused(request, 2)


async def test_a_device_that_refuses_gaps_is_asked_without_them() -> None:
    async with serving(gaps_refused, TWO) as (device, driver):
        assert await driver.read() == {"x": 7.0, "y": 7.0, "z": 7.0}
        device.asked.clear()
        assert await driver.read() == {"x": 7.0, "y": 7.0, "z": 7.0}
        assert device.asked == [bytes.fromhex("0300000001"), bytes.fromhex("0300050002")]


async def test_a_register_that_is_not_there_is_its_channels_error_alone() -> None:
    def without_6(request: bytes) -> bytes:
        last = int.from_bytes(request[8:10], "big") + int.from_bytes(request[10:12], "big") - 1
        return refused(request, 2) if last == 6 else registers(request)

    async with serving(without_6, TWO) as (_, driver):
        values = await driver.read()
        assert {name: values[name] for name in "xy"} == {"x": 7.0, "y": 7.0}
        assert isinstance(values["z"], OSError)
        assert "holding 6: exception 2, it has no such register; check register" in str(values["z"])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: b"", "unit 1: nothing answers within 0.1 s; check unit"),
        (lambda request: registers(request)[:-1], "unit 1: half an answer"),
        (lambda request: b"SSH-2.0-OpenSSH_9.2p1\r\n", "unit 1: what came is no Modbus TCP"),
        (lambda request: reply(request, b"\3\2\0\7", unit=9), "unit 1: unit 9 answered instead"),
        (lambda request: reply(request, b"\3\4\0\7\0\7"), "an answer that does not fit the request"),
        (lambda request: refused(request, 11), "exception 11, the gateway got no answer from it"),
        (lambda request: refused(request, 6), "exception 6, it is busy"),
        (lambda request: refused(request, 99), "exception 99, no code of Modbus"),
    ],
)
async def test_what_goes_wrong_is_told(answer: Answer, words: str) -> None:
    async with serving(answer) as (_, driver):
        with pytest.raises(OSError, match=words):
            await driver.read()


async def test_a_lost_answer_is_asked_for_again_and_a_late_one_is_dropped() -> None:
    kept: list[bytes] = []

    def slow(request: bytes) -> bytes:
        kept.append(registers(request, len(kept)))
        # The first answer comes with the second; then each is one late, before its own.
        return b"" if len(kept) == 1 else kept[-2] + kept[-1]

    async with serving(slow) as (device, driver):
        assert await driver.read() == {"x": 0.0}
        assert len(device.asked) == 2
        assert await driver.read() == {"x": 2.0}
        assert await driver.read() == {"x": 3.0}


async def test_a_connection_that_ends_is_told_at_once() -> None:
    async with serving(registers) as (device, driver):
        assert await driver.read() == {"x": 7.0}
        device.answer = lambda request: device.writers[0].close() or b""  # type: ignore[func-returns-value]  # ends it
        with pytest.raises(ConnectionError, match="the line is gone; the device closed the connection"):
            await driver.read()
        with pytest.raises(ConnectionError, match="the line is gone"):
            await driver.read()
    with pytest.raises(OSError, match="not open"):
        await driver.read()


async def test_values_that_are_none_are_left_out() -> None:
    async with serving(lambda request: registers(request, 0x8000), TWO) as (_, driver):
        assert await driver.read() == {"y": 32768.0, "z": 32768.0}


async def test_a_device_that_knows_only_the_function_for_several_registers_is_written() -> None:
    def only_16(request: bytes) -> bytes:
        if request[7] == 6:
            return refused(request, 1)
        return reply(request, request[7:12])

    async with serving(only_16, BOARD) as (device, driver):
        assert await driver.command("heat", {"degrees": 20.0}) == {"setpoint": 20.0}
        assert device.asked == [bytes.fromhex("06000700c8"), bytes.fromhex("10000700010200c8")]
        device.answer = lambda request: refused(request, 4)
        with pytest.raises(CommandFailedError, match=r"heat: .*exception 4, it failed"):
            await driver.command("heat", {"degrees": 20.0})
        device.answer = lambda request: b""
        with pytest.raises(TimeoutError, match="nothing answers"):
            await driver.command("heat", {"degrees": 20.0})


def writes(device: Device) -> list[bytes]:
    return [pdu for pdu in device.asked if pdu[0] == 5]


def coils(request: bytes) -> bytes:
    """Answers for coils that are all off."""
    return reply(request, request[7:12] if request[7] == 5 else b"\1\1\0")


ON, OFF = bytes.fromhex("050000ff00"), bytes.fromhex("0500000000")


async def test_what_is_set_for_a_time_goes_back_at_the_end() -> None:
    async with serving(coils, BOARD) as (device, driver):
        await driver.command("switch", {"number": 1, "on": True, "for": 3600.0})
        assert writes(device) == [ON]
    assert writes(device) == [ON, OFF]


async def test_what_cannot_be_set_back_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(driver_module, "_AGAIN", 0.01)
    async with serving(coils, BOARD, timeout=0.02) as (device, driver):
        await driver.command("switch", {"number": 1, "on": True, "for": 0.01})
        device.answer = lambda request: b""
        await until(lambda: "relay/1 is not set back yet: " in caplog.text)
        device.answer = coils
        await until(lambda: driver._lent == {})
        assert await driver.command("switch", {"number": 1, "on": True, "for": 60.0}) == {"relay/1": True}
        device.answer = lambda request: b""
    assert "not set back: relay/1: 127.0.0.1" in caplog.text


async def test_a_reading_that_is_given_up_does_not_harm_the_next() -> None:
    async with serving(lambda request: b"") as (device, driver):
        reading = asyncio.create_task(driver.read())
        await until(lambda: bool(device.asked))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        device.answer = registers
        assert await driver.read() == {"x": 7.0}


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.booleans())
def test_nothing_that_a_device_answers_raises_another_error(answers: list[bytes], framed: bool) -> None:
    async def try_it() -> None:
        turns = iter(range(1000))

        def answer(request: bytes) -> bytes:
            data = answers[next(turns) % len(answers)]
            return reply(request, data) if framed else data

        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        try:
            async with serving(answer, timeout=0.01) as (_, driver):
                assert (await driver.read()).keys() <= {"x"}
        except OSError as error:
            assert error.strerror  # noqa: PT017  # either outcome is right
        assert faults == []

    asyncio.run(try_it())


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


@pytest.mark.parametrize(
    ("text", "given_", "words"),
    [
        (ONE, {}, r'where is it\? Give port = "/dev/ttyUSB0" .* or host'),
        (ONE, {"port": "a", "host": "b"}, "port and host: give one"),
        (ONE, {"port": "a", "unit": 0}, "unit 0: on a serial line from 1 to 247"),
        (ONE, {"port": "a", "parity": "none"}, "parity: .*'N', 'E' or 'O'"),
        (ONE, {"port": "a", "speed": 9600}, "unknown key speed in settings: did you mean seed"),
        (HEAD + '[readings.x]\ntype="float"\n', {"port": "a"}, r"readings\.x\.source is missing"),
        (
            ONE.replace("register", "registre"),
            {"port": "a"},
            r"readings\.x\.source\.register: missing",
        ),
        (ONE.replace("register=0", "register=65536"), {"port": "a"}, r"readings\.x\.source\.register: "),
        (
            ONE.replace("register=0", "scale=0,register=0"),
            {"port": "a"},
            "scale 0 makes every value the same",
        ),
        (ONE.replace("int16", "float16"), {"port": "a"}, r"readings\.x\.source\.datatype: "),
        (
            ONE.replace('register=0, datatype="int16"', 'register=65535, datatype="int32"'),
            {"port": "a"},
            "a int32 does not end before 65536",
        ),
        (
            ONE.replace("register=0", 'register=0, function="coil"'),
            {"port": "a"},
            "a coil is a bool, and no int16",
        ),
        (ONE.replace('type="float"', 'type="bool"'), {"port": "a"}, "a int16 makes no bool"),
        (ONE.replace('type="float"', 'type="str"'), {"port": "a"}, "a int16 makes no str"),
        (ONE + "[commands.reset]\n", {"port": "a"}, r"commands\.reset\.effect is missing"),
        (
            ONE.replace("register=0", 'register=0, function="input"')
            + '[commands.heat]\neffect={set="x", value=1.0}\n',
            {"port": "a"},
            r"commands\.heat\.effect: x is in the input table, which cannot be written",
        ),
    ],
)
def test_settings_and_sources_that_are_wrong_are_told(
    text: str, given_: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ModbusDriver(profile=profile(text), settings=given_)


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


async def test_a_silent_device_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(lambda request: b"") as (_, driver):
        with pytest.raises(TimeoutError):
            await driver.read()
    assert [record for record in caplog.records if record.name.startswith("pymodbus")] == []
    assert logging.getLogger("pymodbus").getEffectiveLevel() == logging.CRITICAL


def test_the_driver_brings_in_no_library_before_it_is_opened() -> None:
    found = tops(loaded_by(f"import {modbus.__name__}"))
    assert not found & {"pymodbus", "smbus2", "serial", "gpiozero"}
