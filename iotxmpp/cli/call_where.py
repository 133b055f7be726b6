"""`iotxmpp call --where`: calls one command on many devices."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from iotxmpp.arguments import CommandSpec
from iotxmpp.cli.by_desk import DeskCalls, DeskDevice, Waits
from iotxmpp.cli.exits import Exit, exit_code
from iotxmpp.cli.output import print_json, shown_json
from iotxmpp.cli.progress import Bar
from iotxmpp.errors import (
    CommandError,
    DeviceAwayError,
    InvalidError,
    NotAllowedError,
    StoreError,
    UnknownCommandError,
    UnknownDeviceError,
)
from iotxmpp.textargs import typed_arguments
from iotxmpp.where import Where
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.account import Account
    from iotxmpp.controller import Controller, Device
    from iotxmpp.controller.bulk import BulkResult, Summary
    from iotxmpp.readings import Reading

INTERRUPTED = 130
"""The exit code after Ctrl+C."""

_LOOK_AGAIN = 0.05
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Many:
    """What is to be called, and on which devices.

    Attributes:
        where: Which devices.
        command: The command's name.
        given: Its arguments, as text.
        max_in_flight: Calls under way at one time.
        stop_after_failures: No more are started after so many; None for never.
        timeout: Seconds that each device has for its answer.
        settle: Seconds at most to wait for presence and readings.
        dry_run: Nothing is sent.
        as_json: Prints JSON.
    """

    where: Where
    command: str
    given: Mapping[str, str]
    max_in_flight: int
    stop_after_failures: int | None
    timeout: float
    settle: float
    dry_run: bool
    as_json: bool


class Planned:
    """The call of one device, checked as far as that can be without sending it.

    Attributes:
        id: The device's id.
        fault: Why the device would refuse it; None where nothing says so.
    """

    def __init__(self, device: "Device | DeskDevice", many: Many, *, waits: bool = False) -> None:
        self.id: str = device.id
        self.fault: CommandError | None = None
        self.values: dict[str, Any] = {}
        self._device = device
        self._waits = waits
        try:
            self.values = _checked(device, many)
        except CommandError as error:
            self.fault = error

    @property
    def state(self) -> str:
        """The device's state."""
        return self._device.state

    @property
    def away(self) -> bool:
        """Whether nothing would be sent, because the device is not there."""
        return self._device.about is None or not (self._waits or self._device.online)

    async def call_with(self, command: str, arguments: Mapping[str, Any], *, timeout: float) -> Any:  # noqa: ANN401  # whatever the command gives
        """Calls it, unless the device is away."""
        if self.away:
            known = "has never described itself" if self._device.about is None else f"is {self.state}"
            raise DeviceAwayError(f"device {self.id} {known}: command {command} was not sent")
        return await self._device.call_with(command, arguments, timeout=timeout)


def _checked(device: "Device | DeskDevice", many: Many) -> dict[str, Any]:
    if isinstance(device, DeskDevice) and device.denied:
        raise NotAllowedError(device.denied)
    if device.about is None:
        return {}
    about = device.about.commands.get(many.command)
    if about is None:
        known = ", ".join(sorted(device.about.commands)) or "none"
        raise UnknownCommandError(f"{device.id} has no command {many.command!r}; it has: {known}")
    values = typed_arguments(many.given, about.arguments)
    try:
        spec = CommandSpec.from_about(many.command, about)
    except InvalidError:  # a schema with more than plain types: the device itself checks
        return values
    spec.parse(values)
    return values


def call_where(ours: "Account", many: Many, *, store: str | None, waits: Waits | None) -> int:
    """Calls the command on every device that is meant, and prints what became of each.

    Args:
        ours: The account.
        many: What is to be called.
        store: The URL of a store with last readings; the account's on this machine unless given.
        waits: How long the running controller waits for devices that are away; None to call directly.

    Returns:
        The exit code.

    Raises:
        UnknownDeviceError: No device is meant.
        CommandError: Some device would refuse it; nothing was sent.
    """
    return asyncio.run(_call_where(ours, many, store, waits))


async def _call_where(ours: "Account", many: Many, store: str | None, waits: Waits | None) -> int:
    from iotxmpp.cli.signals import stopping, unless
    from iotxmpp.controller import Controller
    from iotxmpp.xmpp import XmppLink

    logging.getLogger("iotxmpp.controller.liveness").setLevel(logging.ERROR)  # the table says it
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stopping())
        link = await stack.enter_async_context(XmppLink(ours))
        if waits is not None:
            return await call_by_desk(await waits.desk(link), many, stop)
        controller = await stack.enter_async_context(Controller(ours, link=link, collects=False))
        if many.where.channels:
            stored = await asyncio.to_thread(_stored, tuple(controller.devices), ours.jid, store)
            for name, readings in stored.items():
                controller.device(name).recall(readings)
        if not await unless(stop, settled(controller, many)):
            return INTERRUPTED
        return await call_devices(controller, many, stop)


async def call_by_desk(desk: DeskCalls, many: Many, stop: asyncio.Event) -> int:
    """Calls the command on the devices that are meant, as the running controller knows them.

    Args:
        desk: Calls through the controller.
        many: What is to be called.
        stop: Once it is set, no more are started.

    Returns:
        The exit code.

    Raises:
        UnknownDeviceError: No device is meant, of those that this account may see there.
        CommandError: Some device would refuse it, and nothing was sent; or the controller refused.
    """
    chosen, known = await desk.devices(many.where.text, many.command)
    return await _call_planned([Planned(each, many, waits=desk.waits) for each in chosen], known, many, stop)


async def settled(controller: "Controller", many: Many) -> None:
    """Waits until what the expression can ask for is known of every device, or the time is over."""

    def known(device: "Device") -> bool:
        if device.about is None or device.state == "unknown":
            return False
        return many.where.channels & device.about.channels.keys() <= device.readings.keys()

    try:
        async with asyncio.timeout(many.settle):
            while not all(map(known, controller.devices.values())):  # noqa: ASYNC110  # readings have no event
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        return


async def call_devices(controller: "Controller", many: Many, stop: asyncio.Event) -> int:
    """Calls the command on those of a controller's devices that are meant.

    Args:
        controller: It runs.
        many: What is to be called.
        stop: Once it is set, no more are started.

    Returns:
        The exit code.

    Raises:
        UnknownDeviceError: No device is meant.
        CommandError: Some device would refuse it; nothing was sent.
    """
    from iotxmpp.controller.selection import select

    chosen = select(controller.devices.values(), many.where)
    return await _call_planned(
        [Planned(device, many) for device in chosen], len(controller.devices), many, stop
    )


async def _call_planned(planned: Sequence[Planned], known: int, many: Many, stop: asyncio.Event) -> int:
    from iotxmpp.controller.bulk import call_many

    if not planned:
        raise UnknownDeviceError(f"no device matches {many.where.text!r}; {known} are known to this account")
    if many.dry_run:
        return _show_plan(planned, as_json=many.as_json)
    _refuse_faults(planned)
    values = {each.id: each.values for each in planned}
    with Bar(many.command) as bar:
        ended = Counter[str]()

        def told(result: "BulkResult") -> None:
            ended[result.outcome] += 1
            print_result(result, as_json=many.as_json)
            bar.show(ended.total() / len(planned), f"{ended.total()} of {len(planned)}: {_counted(ended)}")

        bar.show(0, f"0 of {len(planned)}")
        summary = await call_many(
            planned,
            many.command,
            values.__getitem__,
            max_in_flight=many.max_in_flight,
            stop_after_failures=many.stop_after_failures,
            timeout=many.timeout,
            on_result=told,
            stop=stop,
        )
    print_summary(summary, as_json=many.as_json)
    return INTERRUPTED if stop.is_set() and summary.done < len(planned) else ended_with(summary)


def ended_with(summary: "Summary") -> Exit:
    """The exit code that says the worst that happened to any device."""
    if summary.failed:
        return Exit.FAILED
    if summary.unknown:
        return Exit.UNKNOWN_OUTCOME
    return Exit.AWAY if summary.skipped else Exit.OK


def print_result(result: "BulkResult", *, as_json: bool) -> None:
    """Prints a line of what became of one device's call."""
    from iotxmpp.controller.desk_client import Unread

    data: dict[str, Any] = {"device": result.device, "outcome": result.outcome}
    text = result.text
    shown = ""
    if isinstance(result.result, Unread):
        text = str(result.result)
    elif result.outcome == "done":
        try:
            shown = shown_json(result.result)
            data["result"] = result.result
        except (ValueError, RecursionError) as error:  # NaN, or lists in lists in lists
            text = f"its result is no JSON that can be shown: {error}"
    if as_json:
        print_json({**data, "text": text, "seconds": round(result.seconds, 3)})
        return
    says = text or (result.result if isinstance(result.result, str) else "" if shown == "null" else shown)
    typer.echo(f"{result.device}  {result.outcome}{': ' if says else ''}{printable(says)}")


def print_summary(summary: "Summary", *, as_json: bool) -> None:
    """Prints how many ended how."""
    counts = {name: getattr(summary, name) for name in ("done", "failed", "unknown", "skipped")}
    if as_json:
        print_json({"summary": counts})
        return
    typer.echo(f"{len(summary.results)} devices: {_counted(counts)}", err=True)
    may = [result.device for result in summary.results if result.outcome == "unknown"]
    if may:
        typer.echo(f"it may have been carried out on: {', '.join(may)}", err=True)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)


def _show_plan(planned: Sequence[Planned], *, as_json: bool) -> int:
    code = Exit.OK
    for each in planned:
        fault = "" if each.fault is None else str(each.fault)
        if each.fault is not None:
            code = max(code, exit_code(each.fault))
        if as_json:
            would = "refuse" if fault else "skip" if each.away else "call"
            print_json({"device": each.id, "presence": each.state, "would": would, "text": fault})
        else:
            would = (
                f"would refuse: {fault}"
                if fault
                else "away: would be skipped"
                if each.away
                else "would be called"
            )
            typer.echo(f"{each.id}  {each.state}  {printable(would)}")
    if not as_json:
        typer.echo(f"{len(planned)} devices; nothing was sent", err=True)
    return code


def _refuse_faults(planned: Sequence[Planned]) -> None:
    """Raises the error of a device's that would refuse the call; it names some of the others, too."""
    faults = [each.fault for each in planned if each.fault is not None]
    if not faults:
        return
    told = "; ".join(map(str, faults[:_MOST_NAMED]))
    more = f"; and {len(faults) - _MOST_NAMED} more" if len(faults) > _MOST_NAMED else ""
    raise type(faults[0])(
        f"nothing was sent, because {len(faults)} of {len(planned)} devices would refuse it: {told}{more};"
        " narrow --where, or look with --dry-run"
    )


def _stored(devices: Iterable[str], jid: str, url: str | None) -> "dict[str, list[Reading]]":
    """Last readings by device, from the controller's store, where there is one."""
    from contextlib import closing
    from pathlib import Path

    from iotxmpp.controller import Store, default_store_url

    found = url or default_store_url(jid)
    if url is None and not Path(found.removeprefix("sqlite:///")).exists():
        return {}
    try:
        with closing(Store(found)) as store:
            return {device: store.latest(device) for device in devices}
    except StoreError as error:
        if url is not None:
            raise
        typer.echo(f"iotxmpp: the store's last readings cannot be read: {printable(str(error))}", err=True)
        return {}
