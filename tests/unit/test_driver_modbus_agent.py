"""The modbus driver in an agent: a device that goes silent is a problem, and heals by itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.profiled import equip
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until
from tests.unit.test_driver_modbus import Device, registers

TEXT = """
schema = 1
id = "meter"
version = "1.0.0"
driver = { kind = "modbus", timeout = 0.05 }
[readings.power]
type = "float"
unit = "W"
every = 0.02
source = { register = 12, datatype = "int16", scale = 0.5 }
"""


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with open_house() as opened:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", opened.server.link)
        monkeypatch.setattr("iotxmpp.backoff.random.uniform", lambda _low, _high: 0.0)
        yield opened


async def test_a_device_that_goes_silent_is_a_problem_until_it_answers(house: House) -> None:
    device = Device(registers)
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    place = {"host": "127.0.0.1", "tcp_port": server.sockets[0].getsockname()[1]}
    profile = parse_profile(TEXT, "meter.toml")
    agent = house.agent()
    equip(agent, profile, lambda: create_driver(profile, place))
    try:
        async with agent:
            await until(lambda: house.values("power") == [3.5])
            device.answer = lambda request: b""
            await until(lambda: "unit 1: nothing answers within 0.05 s" in str(agent.status.problems))
            device.answer = lambda request: registers(request, 9)
            await until(lambda: house.values("power")[-1] == 4.5)
            await until(lambda: agent.status.problems == ())
            server.close()
            for writer in device.writers:
                writer.close()
            await until(lambda: "refused; nothing listens there" in str(agent.status.problems))
            server = await asyncio.start_server(device.serve, "127.0.0.1", place["tcp_port"])
            await until(lambda: agent.status.problems == ())
    finally:
        server.close()
        await asyncio.sleep(0.05)
