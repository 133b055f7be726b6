"""A village on a real Prosody that serves example.org: accounts, examples that run, and who hears them."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from iotxmpp import Account, Controller, Device, Reading
from iotxmpp.addresses import device_id
from iotxmpp.link import Message, Presence
from iotxmpp.server import ServerProcess
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner

EXAMPLES = Path(__file__).parents[2] / "examples"
HOUSE = "house@example.org"
PATIENCE = 20.0


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

    async def person(self, name: str) -> XmppLink:
        """A person's account, for a chat client."""
        jid = f"{name}@example.org"
        await self._provisioner.create_account(jid, "of a person", renew=True)
        return XmppLink(self.house.model_copy(update={"jid": jid, "password": SecretStr("of a person")}))

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
        if example.endswith(".toml"):  # it names the account's file beside it
            words = ["-m", "iotxmpp", "agent", "run", str(shutil.copy(EXAMPLES / example, self._folder))]
        else:
            words = [str(EXAMPLES / example)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=PIPE, stderr=errors, env=environment
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


class Ears:
    """What a controller hears."""

    def __init__(self, account: Account) -> None:
        self.controller = Controller(account, store="sqlite://", discover_every=0.2)
        self.readings: list[tuple[str, object, str | None]] = []
        self._more = asyncio.Event()
        self.controller.on_reading(self._heard)
        self.controller.on_twin(self._settled)

    async def _heard(self, reading: Reading, device: Device) -> None:
        self.readings.append((f"{device.id}/{reading.channel}", reading.value, reading.unit))
        self._more.set()

    async def _settled(self, device: Device) -> None:
        del device
        self._more.set()

    async def until(self, count: int) -> None:
        """Returns when so many readings came."""
        async with asyncio.timeout(PATIENCE):
            while len(self.readings) < count:
                self._more.clear()
                await self._more.wait()

    async def settle(self, device: Device, version: int) -> None:
        """Returns when the device has acted on that version of its settings."""
        async with asyncio.timeout(PATIENCE):
            while device.twin.reported_version < version:
                self._more.clear()
                await self._more.wait()


class Chat:
    """A person who writes to the relay and reads what it answers."""

    def __init__(self, link: XmppLink) -> None:
        self._link = link
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._there: dict[str, asyncio.Event] = {}
        link.on_message(self._heard)
        link.on_presence(self._saw)

    async def seen(self, jid: str) -> None:
        """Returns when that device is seen online."""
        there = self._there.setdefault(jid, asyncio.Event())
        await self._link.follow(jid)
        async with asyncio.timeout(PATIENCE):
            await there.wait()

    async def ask(self, text: str) -> str:
        """Writes to the relay's bare JID; its answer."""
        await self._link.send("relay@example.org", Message(text=text))
        async with asyncio.timeout(PATIENCE):
            return await self._answers.get()

    async def ask_until(self, text: str, wanted: str) -> None:
        """Writes it again and again, as slowly as it is allowed, until that is in the answer."""
        for _ in range(10):
            if wanted in await self.ask(text):
                return
            await asyncio.sleep(1.1)
        raise AssertionError(f"no answer to {text} said {wanted}")

    async def _heard(self, message: Message) -> None:
        await self._answers.put(message.text)

    async def _saw(self, presence: Presence) -> None:
        if presence.available:
            self._there.setdefault(presence.sender.partition("/")[0], asyncio.Event()).set()


async def again_until(done: Awaitable[None], act: Callable[[], Awaitable[None]]) -> None:
    """Does it again and again until something else is done."""
    waiting = asyncio.ensure_future(done)
    while not waiting.done():
        await act()
        await asyncio.wait({waiting}, timeout=0.1)
    await waiting
