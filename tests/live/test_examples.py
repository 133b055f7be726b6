"""The examples, run as they stand, as processes of their own, on a real Prosody that serves example.org."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from itertools import chain, repeat
from pathlib import Path

import pytest
from pydantic import SecretStr

from iotxmpp import Account, Agent, Controller, Device, Reading
from iotxmpp.addresses import device_id
from iotxmpp.controller import Store
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from tests.servers import finish, server_directory

EXAMPLES = Path(__file__).parents[2] / "examples"
HOUSE = "house@example.org"
PATIENCE = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A Prosody for the domain that the examples name."""
    with server_directory() as folder:
        process = ServerProcess(ServerSpec(kind=ServerKind.PROSODY, directory=folder, domain="example.org"))
        finish(process.start())
        try:
            yield process
        finally:
            finish(process.stop())


class Script:
    """A running example, and what it prints."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.printed: list[str] = []

    async def line(self, wanted: str, *, times: int = 1) -> None:
        """Returns when it has printed that line so many times."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while self.printed.count(wanted) < times:
                text = (await self.process.stdout.readline()).decode()
                assert text, f"it ended with {await self.process.wait()}; it printed {self.printed}"
                self.printed.append(text.rstrip("\n"))

    async def stop(self) -> int:
        """Ends it as an operator would; returns its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(PATIENCE):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


class Village:
    """Accounts on the server, and the examples that run with them."""

    def __init__(self, server: ServerProcess, provisioner: XmppProvisioner, folder: Path) -> None:
        self.house = server.admin.model_copy(
            update={"jid": HOUSE, "password": SecretStr("of the house"), "controllers": ()}
        )
        self._admin = server.admin
        self._provisioner = provisioner
        self._folder = folder

    async def build(self) -> None:
        await self._provisioner.create_account(HOUSE, self.house.password.get_secret_value(), renew=True)
        self.house.save(self._folder / "house.toml")

    async def device(self, name: str) -> Account:
        """Adds a device, as `iotxmpp device add` does."""
        account = await add_device(
            self._provisioner, self._admin, device_id(name), controllers=(HOUSE,), renew=True
        )
        account.save(self._folder / f"{name}.toml")
        return account

    @asynccontextmanager
    async def script(self, example: str, account: str) -> AsyncIterator[Script]:
        """Runs an example with an account's file."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "PYTHONUNBUFFERED": "1",
            "IOTXMPP_ACCOUNT": str(self._folder / f"{account}.toml"),
            "IOTXMPP_STATE": str(self._folder / "state"),
        }
        errors = (self._folder / f"{example}.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLES / example), stdout=PIPE, stderr=errors, env=environment
        )
        errors.close()
        script = Script(process)
        try:
            yield script
        except BaseException as error:
            error.add_note((self._folder / f"{example}.log").read_text(encoding="utf-8"))
            raise
        finally:
            await script.stop()


@pytest.fixture
async def village(server: ServerProcess, tmp_path: Path) -> AsyncIterator[Village]:
    async with XmppLink(server.admin) as admin:
        village = Village(server, XmppProvisioner(admin), tmp_path)
        await village.build()
        yield village


@pytest.fixture
async def ears(village: Village) -> AsyncIterator["Ears"]:
    """A controller of ours, before any device is there."""
    ears = Ears(village.house)
    async with ears.controller:
        yield ears


class Ears:
    """What a controller hears."""

    def __init__(self, account: Account) -> None:
        self.controller = Controller(account, store="sqlite://", discover_every=0.2)
        self.readings: list[tuple[str, object, str | None]] = []
        self._more = asyncio.Event()
        self.controller.on_reading(self._heard)

    async def _heard(self, reading: Reading, device: Device) -> None:
        self.readings.append((f"{device.id}/{reading.channel}", reading.value, reading.unit))
        self._more.set()

    async def until(self, count: int) -> None:
        """Returns when so many readings came."""
        async with asyncio.timeout(PATIENCE):
            while len(self.readings) < count:
                self._more.clear()
                await self._more.wait()


async def again_until(done: Awaitable[None], act: Callable[[], Awaitable[None]]) -> None:
    """Does it again and again until something else is done."""
    waiting = asyncio.ensure_future(done)
    while not waiting.done():
        await act()
        await asyncio.wait({waiting}, timeout=0.1)
    await waiting


async def test_the_greenhouse_tells_its_temperature_and_waters(village: Village, ears: Ears) -> None:
    await village.device("greenhouse")
    await ears.controller.wait_for("greenhouse", online=None)
    async with village.script("greenhouse.py", "greenhouse") as script:
        await ears.until(1)
        assert ears.readings[0] == ("greenhouse/temperature", 31.5, "Cel")
        device = await ears.controller.wait_for("greenhouse")
        assert await device.call("water", seconds=3) == "watered for 3 s"
        assert await script.stop() == 0
        gone = await ears.controller.wait_for("greenhouse", online=False)
        assert gone.presence is not None
        assert gone.presence.text == "stopped, 1 sensor"


async def test_the_controller_says_who_is_there_and_waters_where_it_is_hot(village: Village) -> None:
    agent = Agent(await village.device("greenhouse"))
    agent.channel("temperature", type="float", unit="Cel")
    watered: list[int] = []

    @agent.command
    async def water(seconds: int) -> str:
        watered.append(seconds)
        return f"watered for {seconds} s"

    async with agent, village.script("watch_greenhouse.py", "house") as script:
        await again_until(script.line("greenhouse: 29.9 °C"), lambda: agent.publish("temperature", 29.9))
        await script.line("greenhouse is online")
        await agent.publish("temperature", 30.1)
        await script.line("watered for 20 s")
        assert watered == [20]  # and not at 29.9 °C
        assert await script.stop() == 0


async def test_the_greenhouse_and_its_controller_together(village: Village) -> None:
    link = XmppLink(await village.device("greenhouse"))
    link.admit(HOUSE.__eq__)
    async with village.script("watch_greenhouse.py", "house") as watcher:
        async with link:
            await watcher.line("greenhouse is online")  # so the controller has joined it
        await watcher.line("greenhouse is offline")
        async with village.script("greenhouse.py", "greenhouse"):
            await watcher.line("greenhouse: 31.5 °C")
            await watcher.line("watered for 20 s")
        await watcher.line("greenhouse is offline", times=2)


async def test_several_values_of_one_moment(village: Village, ears: Ears) -> None:
    await village.device("climate")
    device = await ears.controller.wait_for("climate", online=None)
    async with village.script("several_values.py", "climate"):
        await ears.until(3)
        assert sorted(ears.readings) == [
            ("climate/pump/running", True, None),
            ("climate/pump/starts", 1207, "count"),
            ("climate/temperature", 12.5, "Cel"),
        ]
        assert device.about is not None
        assert device.about.site == "cellar"
        assert list(device.about.channels["humidity"].range or ()) == [0, 100]
        first, second = (device.readings[name].time for name in ("pump/running", "pump/starts"))
        assert first == second
    assert await ears.controller.rejections() == []


async def test_a_door_that_calls_back_from_a_thread(village: Village, ears: Ears) -> None:
    await village.device("door")
    await ears.controller.wait_for("door", online=None)
    async with village.script("on_change_door.py", "door"):
        await ears.until(3)
    assert ears.readings[:3] == [
        ("door/open", False, None),
        ("door/open", True, None),
        ("door/open", False, None),
    ]


async def test_a_model_of_ones_own(village: Village, tmp_path: Path) -> None:
    agent = Agent(await village.device("climate"))
    humidities: Iterator[float] = repeat(64.0)

    @agent.sensor({"temperature": "Cel", "humidity": "%RH"}, every=0.1)
    def climate() -> dict[str, float]:
        return {"temperature": 17.25, "humidity": next(humidities)}

    async with agent, village.script("pydantic_model.py", "house") as script:
        await script.line("climate: 17.2 °C, 64 %, damp")
        humidities = chain([0.5], repeat(44.0))
        await script.line("climate: 17.2 °C, 44 %, fine")
        assert set(script.printed) == {"climate: 17.2 °C, 64 %, damp", "climate: 17.2 °C, 44 %, fine"}
        assert await script.stop() == 0
    with closing(Store(f"sqlite:///{tmp_path}/state/controller.db")) as store:
        (rejection,) = store.rejections()
    assert (rejection.device, rejection.code) == ("climate", "model")
    assert "humidity: Input should be greater than 1" in rejection.error


async def test_a_users_own_test(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "test_my_device.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "test_my_device.py"),
        cwd=tmp_path,
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert b"1 passed" in printed


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert len(names) > 5
    assert {name for name in names if f'"{name}"' not in text} == set()


def test_every_example_fits_on_a_screen() -> None:
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}
