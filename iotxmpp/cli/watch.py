"""`iotxmpp watch`: live readings and presence."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account
from iotxmpp.cli.output import print_json, show_value

if TYPE_CHECKING:
    from iotxmpp.controller import Device
    from iotxmpp.link import Presence
    from iotxmpp.liveness import Change
    from iotxmpp.readings import Reading


def watch(
    devices: Annotated[list[str] | None, typer.Argument(help="Only these devices' ids.")] = None,
    account: AccountOption = None,
    seconds: Annotated[float | None, typer.Option(help="End after so many seconds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print each reading, each change of state and of presence as it comes, a line each."""
    from iotxmpp import Controller
    from iotxmpp.cli.signals import stopping, wait_at_most

    wanted = set(devices or ())
    controller = Controller(chosen_account(account, "controller"), collects=False)

    @controller.on_reading
    async def reading_came(reading: "Reading", device: "Device") -> None:
        if not wanted or device.id in wanted:
            _print_reading(reading, device, as_json=as_json)

    @controller.on_presence
    async def presence_came(device: "Device", presence: "Presence") -> None:
        if not wanted or device.id in wanted:
            _print_presence(device, presence, as_json=as_json)

    @controller.on_liveness
    async def state_changed(device: "Device", change: "Change") -> None:
        if not wanted or device.id in wanted:
            _print_change(device, change, as_json=as_json)

    async def show() -> None:
        async with stopping() as stop, controller:
            await wait_at_most(stop, seconds)

    asyncio.run(show())


def _print_reading(reading: "Reading", device: "Device", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "device": device.id,
                "channel": reading.channel,
                "value": reading.value,
                "unit": reading.unit,
                "time": reading.time,
            }
        )
    else:
        at = datetime.fromtimestamp(reading.time).astimezone()
        typer.echo(f"{at:%H:%M:%S}  {device.id}  {reading.channel} {show_value(reading.value, reading.unit)}")


def _print_presence(device: "Device", presence: "Presence", *, as_json: bool) -> None:
    if as_json:
        print_json({"device": device.id, "presence": device.state, "text": presence.text})
    else:
        now = datetime.now().astimezone()
        typer.echo(f"{now:%H:%M:%S}  {device.id}  {device.state}: {presence.text or 'no text'}")


def _print_change(device: "Device", change: "Change", *, as_json: bool) -> None:
    if as_json:
        told = {
            "device": device.id,
            "state": change.new,
            "was": change.old,
            "why": change.why,
            "time": change.at,
        }
        print_json(told)
    else:
        at = datetime.fromtimestamp(change.at).astimezone()
        typer.echo(f"{at:%H:%M:%S}  {device.id}  {change.old} → {change.new}: {change.why}")
