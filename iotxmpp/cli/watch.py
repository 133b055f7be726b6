"""`iotxmpp watch`: live readings and presence."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

import typer

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, device_id
from iotxmpp.cli.options import AccountOption, JsonOption, checked_seconds, chosen_account
from iotxmpp.cli.output import discard_output, print_json, show_value
from iotxmpp.errors import InvalidError, UnknownDeviceError
from iotxmpp.link import Presence
from iotxmpp.liveness import Change
from iotxmpp.readings import Reading
from iotxmpp.status import parse_status
from iotxmpp.xmltext import printable


def watch(
    devices: Annotated[list[str] | None, typer.Argument(help="Only these devices' ids.")] = None,
    account: AccountOption = None,
    seconds: Annotated[
        float | None, typer.Option(help="End after so many seconds.", callback=checked_seconds)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print each reading, each problem, each change of state and of presence as it comes, a line each."""
    ours, wanted = chosen_account(account, "controller"), frozenset(map(device_id, devices or ()))
    try:
        asyncio.run(_watch(ours, wanted, seconds, as_json=as_json))
    except BrokenPipeError:  # nobody reads any more
        discard_output()


async def _watch(ours: Account, wanted: frozenset[DeviceId], seconds: float | None, *, as_json: bool) -> None:
    from iotxmpp import Controller, Device
    from iotxmpp.cli.signals import interruptible

    controller, came = Controller(ours, collects=False), set[str]()
    told: dict[str, tuple[str, ...]] = {}
    logging.getLogger("iotxmpp.controller.liveness").setLevel(logging.ERROR)  # its changes are printed
    closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def show(device: Device, line: Callable[..., None], *what: object) -> None:
        came.add(device.id)
        if wanted and device.id not in wanted:
            return
        try:
            line(device.id, *what, as_json=as_json)
        except OSError as error:  # nobody can read any more
            if not closed.done():
                closed.set_exception(error)

    @controller.on_reading
    async def reading_came(reading: Reading, device: Device) -> None:
        show(device, _print_reading, reading)

    @controller.on_presence
    async def presence_came(device: Device, presence: Presence) -> None:
        before, now = told.get(device.id, ()), _problems(presence)
        told[device.id] = before if now is None else now
        show(device, _print_presence, device.state, presence.text, now, before)

    @controller.on_liveness
    async def state_changed(device: Device, change: Change) -> None:
        show(device, _print_change, change)

    async with interruptible(), controller:
        for name in sorted(wanted - controller.devices.keys()):
            typer.echo(f"no device {name} is known yet; waiting for it", err=True)
        try:
            async with asyncio.timeout(seconds):
                await closed
        except TimeoutError:
            _check_came(wanted - came - controller.devices.keys())


def _check_came(missing: frozenset[str]) -> None:
    """Raises UnknownDeviceError for devices that were named and never came."""
    if missing:
        names = ", ".join(sorted(missing))
        raise UnknownDeviceError(
            f"no device {names} came in time: check the name with `iotxmpp device list`,"
            " and that this account may read it"
        )


def _print_reading(device: str, reading: Reading, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "device": device,
                "channel": reading.channel,
                "value": reading.value,
                "unit": reading.unit,
                "time": reading.time,
            }
        )
    else:
        at = datetime.fromtimestamp(reading.time).astimezone()
        typer.echo(
            f"{at:%H:%M:%S}  {device}  {printable(reading.channel)} {show_value(reading.value, reading.unit)}"
        )


def _problems(presence: Presence) -> tuple[str, ...] | None:
    """What does not work, as a presence tells it; None where it tells nothing, as after a lost connection."""
    try:
        status = parse_status(presence.extensions)
    except InvalidError:  # the controller that collects keeps it as a rejection
        return None
    return None if status is None else status.problems


def _print_presence(
    device: str,
    state: str,
    text: str,
    problems: Sequence[str] | None,
    before: Sequence[str],
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json({"device": device, "presence": state, "text": text, "problems": list(problems or ())})
        return
    start = f"{datetime.now().astimezone():%H:%M:%S}  {device}"
    typer.echo(f"{start}  {state}: {printable(text) or 'no text'}")
    if problems is None:
        return
    for what, these, others in (("over", before, problems), ("problem", problems, before)):
        for sentence in _without(these, others):
            typer.echo(f"{start}  {what}: {printable(sentence)}")


def _without(these: Sequence[str], others: Sequence[str]) -> list[str]:
    """The first ones in their order, each once, that are not among the others."""
    left_out = frozenset(others)
    return [each for each in dict.fromkeys(these) if each not in left_out]


def _print_change(device: str, change: Change, *, as_json: bool) -> None:
    if as_json:
        told = {"state": change.new, "was": change.old, "why": change.why, "time": change.at}
        print_json({"device": device, **told})
    else:
        at = datetime.fromtimestamp(change.at).astimezone()
        typer.echo(f"{at:%H:%M:%S}  {device}  {change.old} -> {change.new}: {printable(change.why)}")
