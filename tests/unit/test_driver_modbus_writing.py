"""The modbus driver writes to devices that misbehave, and sets back what was set for a time."""

import asyncio
from collections.abc import Callable

import pytest

from iotxmpp.agent.drivers.modbus import driver as driver_module
from iotxmpp.errors import CommandFailedError
from tests.unit.agent_house import until
from tests.unit.modbus_house import BOARD, HEAD, Device, refused, registers, reply, serving


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


HEATER = (
    HEAD
    + """
[readings.setpoint]
type = "float"
source = { register = 7, datatype = "int16", scale = 0.1 }

[commands.heat]
effect = { set = "setpoint", to = "degrees", lasting = "for" }
args.degrees = { type = "float" }
args.for = { type = "float", optional = true }
"""
)


class Heater:
    """One register, 20 Cel at first; more than 60 Cel is answered as the test says."""

    def __init__(self, fault: Callable[[bytes], bytes]) -> None:
        self.setpoint = 200
        self._fault = fault

    def __call__(self, request: bytes) -> bytes:
        if request[7] == 3:
            return registers(request, self.setpoint)
        wanted = int.from_bytes(request[10:12], "big")
        if wanted > 600:
            return self._fault(request)
        self.setpoint = wanted
        return reply(request, request[7:12])


@pytest.mark.parametrize("more", [{}, {"for": 3600.0}])
@pytest.mark.parametrize(
    ("fault", "error"),
    [(lambda request: refused(request, 3), CommandFailedError), (lambda request: b"", TimeoutError)],
)
async def test_a_command_that_fails_leaves_the_time_of_an_earlier_one(
    more: dict[str, float], fault: Callable[[bytes], bytes], error: type[Exception]
) -> None:
    heater = Heater(fault)
    async with serving(heater, HEATER, timeout=0.02) as (_, driver):
        await driver.command("heat", {"degrees": 50.0, "for": 0.3})
        with pytest.raises(error):
            await driver.command("heat", {"degrees": 95.0, **more})
        assert heater.setpoint == 500
        await until(lambda: heater.setpoint == 200)
        assert driver._lent == {}


@pytest.mark.parametrize(("code", "again"), [(2, False), (3, False), (5, True), (11, True)])
async def test_a_first_command_that_fails_is_set_back_only_where_it_may_have_worked(
    code: int, again: bool
) -> None:
    async with serving(Heater(lambda request: refused(request, code)), HEATER) as (device, driver):
        with pytest.raises(CommandFailedError, match=f"exception {code}"):
            await driver.command("heat", {"degrees": 95.0, "for": 3600.0})
    assert (bytes.fromhex("06000700c8") in device.asked) == again


async def test_a_command_without_a_time_ends_an_earlier_ones() -> None:
    heater = Heater(lambda request: refused(request, 3))
    async with serving(heater, HEATER) as (_, driver):
        await driver.command("heat", {"degrees": 50.0, "for": 0.05})
        await driver.command("heat", {"degrees": 30.0})
        await asyncio.sleep(0.1)
        await driver.command("heat", {"degrees": 40.0, "for": 0.01})
        await driver.command("heat", {"degrees": 45.0, "for": 3600.0})
        await asyncio.sleep(0.05)
        assert heater.setpoint == 450
    assert heater.setpoint == 300
