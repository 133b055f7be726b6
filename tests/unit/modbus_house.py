"""Modbus devices on TCP ports that answer as a test says, and drivers that ask them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from iotxmpp.agent.drivers.modbus import ModbusDriver
from iotxmpp.profiles import Profile, parse_profile

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
ONE = HEAD + '[readings.x]\ntype="float"\nsource={register=0, datatype="int16"}\n'
TWO = (
    ONE + '[readings.y]\ntype="float"\nsource={register=5}\n[readings.z]\ntype="float"\nsource={register=6}\n'
)
Answer = Callable[[bytes], bytes]


def profile(text: str) -> Profile:
    return parse_profile(text, "plant.toml")


def simulated(text: str = BOARD, **more: object) -> ModbusDriver:
    return ModbusDriver(profile=profile(text), settings={"simulated": True, **more})


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
