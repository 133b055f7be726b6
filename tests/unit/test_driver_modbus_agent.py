"""The modbus driver in an agent: a device that goes silent is a problem, and heals by itself."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.profiled import equip
from iotxmpp.profiles import parse_profile
from tests.unit.agent_house import House, open_house, until
from tests.unit.modbus_house import Device, all_closed, refused, registers, reply

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
            await until(lambda: house.values("power")[:1] == [3.5])
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
        await all_closed(device)


MORE = """
[readings.voltage]
type = "float"
unit = "V"
every = 0.02
source = { register = 100, datatype = "float32" }
"""


@pytest.mark.parametrize(
    ("code", "words"), [(2, "exception 2, it has no such register"), (6, "exception 6, it is busy")]
)
async def test_a_refused_channel_is_a_problem_of_its_own_and_logged(
    house: House, caplog: pytest.LogCaptureFixture, code: int, words: str
) -> None:
    refuses = asyncio.Event()
    refuses.set()

    def answer(request: bytes) -> bytes:
        if request[8:10] != bytes([0, 100]):
            return registers(request)
        return refused(request, code) if refuses.is_set() else reply(request, b"\3\4\x43\x66\0\0")

    device = Device(answer)
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    place = {"host": "127.0.0.1", "tcp_port": server.sockets[0].getsockname()[1]}
    profile = parse_profile(TEXT + MORE, "meter.toml")
    agent = house.agent()
    equip(agent, profile, lambda: create_driver(profile, place))
    caplog.set_level(logging.INFO, "iotxmpp.agent.presence")
    try:
        async with agent:
            await until(lambda: agent.status.problems != () and 3.5 in house.values("power"))
            (problem,) = agent.status.problems
            assert problem.startswith("voltage: 127.0.0.1:")
            assert words in problem
            assert house.values("voltage") == []
            refuses.clear()
            await until(lambda: 230.0 in house.values("voltage"))
            assert agent.status.problems == ()
    finally:
        server.close()
        await all_closed(device)
    assert [each.levelname for each in caplog.records if words in each.message] == ["WARNING", "INFO"]
