"""A device with nothing but a twin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from iotxmpp.agent.presence import Problems
from iotxmpp.agent.settings import Setting, add_setting, make_setting
from iotxmpp.agent.twin import DeviceTwin
from iotxmpp.agent.twinfile import TwinFile
from iotxmpp.memory import MemoryLink
from iotxmpp.payloads import json_text
from iotxmpp.serving.audit import MemoryAudit
from iotxmpp.serving.records import Records
from iotxmpp.twin import DESIRED_TAG, REPORTED_ITEM, Desired, Reported, parse_reported
from tests.unit.agent_house import CONTROLLER, DEVICE, NODES, House, account, quick, until


class Lamp:
    """What settings change."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.settings: dict[str, Setting] = {}
        for name, function in (
            ("brightness", self.brightness),
            ("name", self.name),
            ("slow", self.slow),
            ("broken", self.broken),
        ):
            add_setting(self.settings, make_setting(function, name))

    def brightness(self, percent: Annotated[int, Field(ge=0, le=100, title="Light")] = 50) -> None:
        """How bright it shines."""
        self.calls.append(("brightness", percent))

    async def name(self, text: str) -> None:
        self.calls.append(("name", text))

    async def slow(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def broken(self, part: str) -> None:
        raise RuntimeError(f"no {part}")


class Device:
    """A device with nothing but a twin."""

    def __init__(self, house: House, link: MemoryLink, lamp: Lamp, path: Path | None) -> None:
        self.house = house
        self.link = link
        self.problems = Problems()
        self.audit = MemoryAudit()
        self.ready = asyncio.Event()
        self.twin = DeviceTwin(
            link,
            device=DEVICE,
            node=NODES.state,
            settings=lamp.settings,
            file=TwinFile(path),
            collector=CONTROLLER,
            problems=self.problems,
            records=Records(device=DEVICE, audit=self.audit, problems=self.problems),
            ready=self.ready,
            backoff=quick(),
            patience=0.05,
            saving=quick(),
        )

    async def desire(
        self, changes: dict[str, Any], *, version: int, base: int = 0, lineage: str = "a1"
    ) -> None:
        element = Desired(lineage=lineage, version=version, base=base, changes=changes).element()
        await self.house.watcher.call(self.link.jid, element)

    @property
    def reports(self) -> list[Reported]:
        found = [item for item in self.house.items if item.node == NODES.state and item.payload is not None]
        assert all(item.id == REPORTED_ITEM for item in found)
        return [parse_reported(json_text(item.payload)) for item in found if item.payload is not None]

    async def reported(self, version: int) -> Reported:
        await until(lambda: bool(self.reports) and self.reports[-1].desired == version)
        return self.reports[-1]


@asynccontextmanager
async def running(house: House, lamp: Lamp, path: Path | None = None) -> AsyncIterator[Device]:
    await house.watcher.subscribe(NODES.state, house.take_item)
    async with house.server.link(account("greenhouse")) as link:
        device = Device(house, link, lamp, path)
        await device.twin.open()
        cancels = [link.serve(DESIRED_TAG, device.twin.answer), link.on_state(device.twin.state_changed)]
        task = asyncio.create_task(device.twin.run())
        device.ready.set()
        try:
            yield device
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for cancel in cancels:
                cancel()
    house.items.clear()
