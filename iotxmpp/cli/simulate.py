"""`iotxmpp simulate`: many devices without hardware, at a server or printed."""

import asyncio
import logging
import os
import resource
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.account import ACCOUNT_VARIABLE, Account
from iotxmpp.addresses import bare_jid, domain
from iotxmpp.cli.options import AccountOption, JsonOption, checked_seconds, chosen_account, server_directory
from iotxmpp.durations import moment
from iotxmpp.errors import ArgumentsError, ConfigError, IotxmppError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from iotxmpp.simulation.order import Member
    from iotxmpp.simulation.run import Simulation
    from iotxmpp.simulation.venue import Venue

AN_HOUR = 3600.0
MOST_SPEED = 100_000.0
OPEN_FILES = 8192


def simulate(
    profile: Annotated[
        list[str] | None,
        typer.Option(help="A kind of device, or a profile's file, perhaps with how many: bme280=60."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many devices of each kind without a number.")] = 1,
    server: Annotated[
        str, typer.Option(help="A server of its own, for as long: prosody, ejabberd or memory.")
    ] = "",
    account: AccountOption = None,
    controller: Annotated[
        list[str] | None,
        typer.Option(help="Bare JID that the devices obey; can be given several times."),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Where the devices' accounts are kept, for the next time.")
    ] = None,
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Remove the folder's devices from the server at the end, or at once."),
    ] = False,
    prefix: Annotated[str, typer.Option(help="What each device's id begins with.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed gives the same values and faults.")] = 0,
    every: Annotated[
        float | None,
        typer.Option(help="Seconds between values; else as the profiles say.", callback=checked_seconds),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="End by itself after so many seconds.", callback=checked_seconds)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="What time it is for the signals at the start; else now.")
    ] = None,
    speed: Annotated[
        float, typer.Option(help="How many times faster the signals' time runs.", callback=checked_seconds)
    ] = 1.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="stuck, spiky, silent or offline, and how many devices have it: stuck=3."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Write which fault is on when into this new file.")
    ] = None,
    outbox: Annotated[
        str, typer.Option(help="Where readings wait: memory, or disk, in the devices' folder.")
    ] = "memory",
    printed: Annotated[
        bool, typer.Option("--print", help="Print the values as CSV, at once and without any server.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run many simulated devices in one process, with faults on demand; or print what they would read."""
    if printed:
        _check_printing(server, account, controller, directory, remove=remove, speed=speed)
        span = seconds if seconds is not None else AN_HOUR
        begin = _since(since)
        _check_calendar(begin, span)
        fleet = _members(profile, fault, count, prefix, seed, span)
        _print(fleet, begin, span, every, truth, as_json=as_json)
        return
    if as_json:
        raise ArgumentsError("--json: only with --print; remove it")
    if outbox not in ("memory", "disk"):
        raise ConfigError(f"--outbox {outbox!r}: choose memory or disk")
    if speed > MOST_SPEED:
        raise ConfigError(f"--speed {speed:g}: {MOST_SPEED:g} at most")
    if remove and server and directory is None:
        raise ConfigError("--remove: a server of its own goes with its devices; remove the option")
    from iotxmpp.simulation.run import Simulation, Wishes

    wishes = Wishes(
        members=() if remove and not profile else _members(profile, fault, count, prefix, seed, seconds),
        controllers=tuple(bare_jid(jid) for jid in controller or ()),
        since=None if since is None else moment(since, time.time(), "--since"),
        speed=speed,
        every=every,
        truth=truth,
        on_disk=outbox == "disk",
    )
    _quieten()
    _allow_many_connections()
    asyncio.run(_run(Simulation(_venue(server, account, directory), wishes), seconds, remove=remove))


def _members(
    profile: list[str] | None,
    fault: list[str] | None,
    count: int,
    prefix: str,
    seed: int,
    seconds: float | None,
) -> "tuple[Member, ...]":
    from iotxmpp.simulation.order import members

    return members(profile or [], fault or [], count=count, prefix=prefix, seed=seed, seconds=seconds)


def _since(given: str | None) -> float:
    now = time.time()
    return now if given is None else moment(given, now, "--since")


def _check_calendar(since: float, seconds: float) -> None:
    """Refuses times that no calendar shows."""
    try:
        for each in (since, since + seconds):
            datetime.fromtimestamp(each, UTC)
    except (ValueError, OverflowError, OSError):
        raise ArgumentsError(
            "--since, --seconds: the time leaves the years 1 to 9999; begin elsewhere, or end earlier"
        ) from None


def _check_printing(
    server: str,
    account: Path | None,
    controller: list[str] | None,
    directory: Path | None,
    *,
    remove: bool,
    speed: float,
) -> None:
    given = {
        "--server": bool(server),
        "--account": account is not None,
        "--controller": bool(controller),
        "--directory": directory is not None,
        "--remove": remove,
        "--speed": speed != 1,
    }
    for option, is_given in given.items():
        if is_given:
            raise ArgumentsError(f"{option}: --print needs no server, and no time; remove one of the two")


def _print(
    fleet: "tuple[Member, ...]",
    since: float,
    seconds: float,
    every: float | None,
    truth: Path | None,
    *,
    as_json: bool,
) -> None:
    from iotxmpp.cli.simulate_show import printer
    from iotxmpp.simulation.printing import lines, tell_truth
    from iotxmpp.simulation.truth import truth_file

    async def show() -> None:
        write = printer(as_json=as_json)
        async for line in lines(fleet, since=since, seconds=seconds, every=every):
            write(line)

    with truth_file(truth) as told:
        tell_truth(fleet, told, since=since, seconds=seconds)
        asyncio.run(show())


def _venue(server: str, account: Path | None, directory: Path | None) -> "AbstractAsyncContextManager[Venue]":
    """Where to simulate: the server that is named, else that of the account, else a private one."""
    from iotxmpp.cli.server import KINDS, chosen_kind
    from iotxmpp.simulation import venue

    if server and account is not None:
        raise ArgumentsError("--server and --account: give one of them")
    if server == "memory":
        return venue.in_memory(directory)
    if server and server not in KINDS:
        raise ConfigError(f"--server {server!r}: choose {', '.join(KINDS)} or memory")
    if not server and (account is not None or _has_account()):
        admin = chosen_account(account, "admin")
        return venue.existing(admin, directory or _state_directory(admin))
    return venue.private(chosen_kind(server), directory)


def _has_account() -> bool:
    return bool(os.environ.get(ACCOUNT_VARIABLE)) or (server_directory() / "admin.toml").exists()


def _state_directory(admin: Account) -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "iotxmpp" / "simulations" / domain(admin.jid)


def _allow_many_connections() -> None:
    """Each device has one; the usual limit of open files is 1024, and may be raised by anybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _quieten() -> None:
    """A faulty device warns in the log; of hundreds, only who asks by -v hears it."""
    if logging.getLogger().getEffectiveLevel() >= logging.WARNING:
        for name in ("iotxmpp.agent", "iotxmpp.xmpp", "iotxmpp.memory"):
            logging.getLogger(name).setLevel(logging.ERROR)


async def _run(simulation: "Simulation", seconds: float | None, *, remove: bool) -> None:
    from iotxmpp.cli.signals import stopping, unless
    from iotxmpp.cli.simulate_show import introduce, shown, summarise

    typer.echo("preparing the server and the devices", err=True)
    async with stopping() as stop, AsyncExitStack() as stack:
        if not await unless(stop, stack.enter_async_context(simulation)):
            raise IotxmppError("the simulation was stopped before it began")
        fleet, faults = simulation.fleet, []
        if fleet.state().devices:
            introduce(simulation.venue, fleet, seconds)
            async with shown(fleet):
                await fleet.run(stop, seconds)
            summarise(fleet)
            faults = fleet.faults()
        if remove:
            typer.echo(f"{await simulation.remove()} devices removed", err=True)
    if faults:
        raise IotxmppError(f"the simulation failed: {'; '.join(faults)}")
