"""The modbus driver against its own simulated device, over TCP."""

import asyncio

import pytest

from device_profiles import load
from iotxmpp.agent.drivers.modbus import ModbusDriver
from iotxmpp.errors import ArgumentsError, CommandFailedError
from tests.unit.modbus_house import simulated

AT_REST = {
    "relay/1": False,
    "relay/2": False,
    "door": True,
    "setpoint": 21.5,
    "limit": 3.3,
    "serial-number": 70_000,
}


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
