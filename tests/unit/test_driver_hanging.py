"""Hardware that hangs for ever holds neither the program's end nor what others need threads for."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from device_profiles import load
from iotxmpp.agent.drivers.i2c import I2cDriver, driver
from iotxmpp.agent.drivers.i2c.bus import KernelBus
from tests.unit.agent_house import until

HOST = """
from pathlib import Path
import device_profiles
from iotxmpp.agent.drivers import create_driver

async def work():
    async with create_driver(device_profiles.load("host"), {"proc": Path(sys.argv[1])}) as driver:
        await driver.read()
"""
I2C_READ = """
import device_profiles
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.i2c.bme280_chip import Bme280

Bme280.read = lambda chip: threading.Event().wait()

async def work():
    driver = create_driver(device_profiles.load("bme280"), {"simulated": True})
    await driver.__aenter__()
    await driver.read()
"""
I2C_OPEN = """
import device_profiles
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.i2c import driver

driver.KernelBus = lambda number: threading.Event().wait()

async def work():
    await create_driver(device_profiles.load("bme280"), {}).__aenter__()
"""
I2C_CLOSE = """
import device_profiles
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.i2c.bme280_chip import Bme280

Bme280.stop = lambda chip: threading.Event().wait()

async def work():
    async with create_driver(device_profiles.load("bme280"), {"simulated": True}):
        pass
"""
MODBUS = """
from tests.unit.modbus_house import ONE, profile
from iotxmpp.agent.drivers.modbus import ModbusDriver, {module}

{module}.{blocks} = lambda *arguments: threading.Event().wait()

async def work():
    await ModbusDriver(profile=profile(ONE), settings={{"port": "/dev/none"}}).__aenter__()
"""
MAIN = """
async def main():
    working = asyncio.create_task(work())
    done, _ = await asyncio.wait({working}, timeout=0.3)
    assert not done, working
    working.cancel()

asyncio.run(main())
print("ended")
"""


@pytest.mark.parametrize(
    "script",
    [
        HOST,
        I2C_OPEN,
        I2C_READ,
        I2C_CLOSE,
        MODBUS.format(module="driver", blocks="bring_in"),
        MODBUS.format(module="line", blocks="why_closed"),
    ],
    ids=["host reads", "i2c opens", "i2c reads", "i2c closes", "modbus is brought in", "modbus is asked why"],
)
def test_hardware_that_hangs_does_not_hold_the_programs_end(script: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "meminfo")
    code = f"import asyncio, sys, threading\n{script}{MAIN}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        timeout=20,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "ended\n"


class Stuck(KernelBus):
    """A bus that hangs while it is opened, until a test lets it go."""

    begun = 0
    go = threading.Event()

    def __init__(self, number: int) -> None:
        type(self).begun += 1
        self.go.wait(30)
        raise OSError(errno.EIO, f"bus {number} is let go")


async def test_a_bus_that_hangs_costs_one_thread_however_often_it_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "KernelBus", Stuck)
    Stuck.begun = 0
    profile = load("bme280")

    def made() -> I2cDriver:
        return I2cDriver(profile=profile, settings={**profile.driver.settings, "bus": 7})

    opening = asyncio.create_task(made().__aenter__())
    await until(lambda: Stuck.begun == 1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for _ in range(40):
        with pytest.raises(OSError, match="/dev/i2c-7: an earlier attempt to open it still hangs") as caught:
            await made().__aenter__()
        assert caught.value.errno == errno.EBUSY
    assert Stuck.begun == 1
    async with asyncio.timeout(5):  # the pool that every connection needs is as it was
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 5222, type=socket.SOCK_STREAM)
    Stuck.go.set()
    await until(lambda: not driver._hanging)
    with pytest.raises(OSError, match="bus 7 is let go"):
        await made().__aenter__()
