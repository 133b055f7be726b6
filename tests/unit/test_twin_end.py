"""The twin from end to end: a controller, an agent, and a server in memory between them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.controller import Controller, Device
from iotxmpp.controller.desk import Desk
from iotxmpp.errors import NotAllowedError
from iotxmpp.twin import Twin
from tests.unit.agent_house import CONTROLLER, DEVICE, account, open_house, until


async def test_a_setting_goes_out_and_what_holds_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house() as house, house.server.link(account("house")) as link:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
        shone: list[int] = []
        agent = house.agent(outbox=tmp_path / "outbox.db")

        @agent.sensor("temperature", unit="Cel", every=3600)
        def temperature() -> float:
            return 21.5

        @agent.setting("brightness")
        def brightness(percent: int = 50) -> None:
            if percent > 100:
                raise ValueError("the lamp melts")
            shone.append(percent)

        twins: list[Twin] = []
        controller = Controller(account("house"), link=link, store="sqlite://", discover_every=0.05)

        @controller.on_twin
        async def changed(device: Device, twin: Twin) -> None:
            twins.append(twin)

        async with controller:
            async with agent:
                device = await controller.wait_for("greenhouse")
                await until(lambda: device.twin.reported == {"brightness": 50, "every/temperature": 3600})
                await device.desire_with({"brightness": 20, "every/temperature": 0.1})
                await until(lambda: device.twin.in_sync and device.twin.desired_version == 1)
                await until(lambda: house.values("temperature").count(21.5) > 2)
                await device.desire(brightness=101)
                await until(lambda: bool(device.twin.refused))
                assert device.twin.refused == {"brightness": "ValueError: the lamp melts"}
                assert device.twin.reported["brightness"] == 20
                assert device.about is not None
                assert device.about.settings.keys() == {"brightness", "every/temperature"}
            await device.desire(brightness=30)
            async with agent:
                await until(lambda: device.twin.in_sync and device.twin.desired_version == 3, 5.0)
            assert shone == [50, 20, 20, 30]  # at the restart what held, not what was refused
        assert twins[-1].in_sync
        assert (tmp_path / "outbox.twin.json").exists()


async def _in(context: Context, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    return await asyncio.create_task(work, context=context)


async def test_the_desk_lets_maintainers_alone_change_settings() -> None:
    async with open_house() as house, house.server.link(account("house")) as link:
        del house
        device = Device(DEVICE, "greenhouse@example.org", link=link)
        desk = Desk(own=CONTROLLER, queue=None, device=lambda _name: device)  # type: ignore[arg-type]  # not asked
        context = desk.asked_by("stranger@example.org/phone")
        with pytest.raises(NotAllowedError):
            await _in(context, desk.desire("greenhouse", {"a": 1}))
        with pytest.raises(NotAllowedError):
            await _in(context, desk.twin("greenhouse"))
        shown = await _in(desk.asked_by(f"{CONTROLLER}/desk"), desk.twin("greenhouse"))
        assert shown["in_sync"]
