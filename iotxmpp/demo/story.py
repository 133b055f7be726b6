"""What happens in the demo: a controller watches, and calls a command on each device."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field

from iotxmpp.controller import Controller, Device, Store
from iotxmpp.demo.cast import CAST, Role
from iotxmpp.demo.stage import Stage
from iotxmpp.errors import IotxmppError
from iotxmpp.readings import Reading

DISCOVER_EVERY = 1.0
ONLINE_WITHIN = 60.0
SILENT_FOR = 10.0
"""Seconds of silence that are a fault, for a device that reports often."""


@dataclass(kw_only=True)
class DeviceStory:
    """What happened with one device.

    Attributes:
        role: Which device.
        readings: How many of its readings came.
        answer: What its command returned, as JSON; None while it has not.
        failure: Why its command failed; empty while it has not.
    """

    role: Role
    readings: int = 0
    answer: str | None = None
    failure: str = ""


@dataclass(kw_only=True)
class Story:
    """What happened in the demo.

    Attributes:
        devices: By id.
        rejected: How many readings, descriptions and statuses failed validation.
        interrupted: What had ended or gone silent before the demo's end, a sentence each.
    """

    devices: dict[str, DeviceStory] = field(
        default_factory=lambda: {role.device: DeviceStory(role=role) for role in CAST}
    )
    rejected: int = 0
    interrupted: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What went wrong, a sentence each; empty if all went well."""
        faults = list(self.interrupted)
        for name, device in self.devices.items():
            if not device.readings:
                faults.append(f"{name}: no reading came")
            if device.failure:
                faults.append(f"{name}: {device.role.call}: {device.failure}")
            elif device.answer is None:
                faults.append(f"{name}: {device.role.call} was not answered")
        if self.rejected:
            faults.append(f"{self.rejected} rejected by validation")
        return faults


class Play:
    """Plays the story on a stage.

    Attributes:
        story: What has happened so far.
        controller: The controller of the demo.
    """

    def __init__(self, stage: Stage, *, metrics_port: int) -> None:
        self.story = Story()
        self._stage = stage
        self._heard = {name: asyncio.Event() for name in self.story.devices}
        self._store = f"sqlite:///{stage.folder / 'controller.db'}"
        self.controller = Controller(
            stage.controller,
            store=self._store,
            metrics_port=metrics_port,
            link=stage.link(),
            discover_every=DISCOVER_EVERY,
        )
        self.controller.on_reading(self._count)

    async def act(self, stop: asyncio.Event, seconds: float | None) -> None:
        """Once the controller runs: starts the devices and calls their commands.

        Goes on until the event is set, or the seconds are over.
        """
        await self._stage.start_devices()
        parts = [asyncio.create_task(self._play(device)) for device in self.story.devices.values()]
        try:
            await _wait(stop, parts, seconds)
            self.story.interrupted = await self._interrupted()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def end(self) -> None:
        """Once the controller has ended: what was rejected."""
        self.story.rejected = await asyncio.to_thread(_count_rejected, self._store)

    async def _interrupted(self) -> list[str]:
        """While all should still run: what does not."""
        server, ended = await self._stage.server_ended(), await self._stage.ended()
        faults = [f"{name}: its process ended: {how}" for name, how in ended.items()]
        if server:  # then nobody is online
            return [f"the server ended: {server}", *faults]
        left = [role for role in CAST if role.device not in ended]
        return faults + [fault for role in left if (fault := self._absence(role))]

    def _absence(self, role: Role) -> str:
        """Why a device does not count as there; empty if it does."""
        device = self.controller.devices.get(role.device)
        if device is None or not device.online:
            return f"{role.device}: not online"
        silence = device.silence
        if silence is None:
            return f"{role.device}: never heard"
        if silence <= max(SILENT_FOR, 3 * role.every):
            return ""
        return f"{role.device}: silent for {silence:.0f} s"

    async def _count(self, reading: Reading, device: Device) -> None:
        del reading
        self.story.devices[device.id].readings += 1
        self._heard[device.id].set()

    async def _play(self, device: DeviceStory) -> None:
        """Calls the device's command, and waits for its first reading."""
        await self._call(device)
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENT_FOR):
                await self._heard[device.role.device].wait()

    async def _call(self, device: DeviceStory) -> None:
        role = device.role
        try:
            handle = await self.controller.wait_for(role.device, online=True, timeout=ONLINE_WITHIN)
            answer = await handle.call_with(role.command, role.arguments)
            device.answer = json.dumps(answer, ensure_ascii=False)
        except IotxmppError as error:
            device.failure = str(error)


async def _wait(stop: asyncio.Event, parts: list[asyncio.Task[None]], seconds: float | None) -> None:
    """Waits for the event, or so many seconds; a demo with a time does not end before its parts did."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
        while not stopping.done() and (left := [part for part in parts if not part.done()]):
            await asyncio.wait({stopping, *left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


def _count_rejected(url: str) -> int:
    store = Store(url)
    try:
        return store.count()
    finally:
        store.close()
