"""`iotxmpp doctor`: finds what is wrong with a machine, its hardware and its server, and says what to do."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.account import ACCOUNT_VARIABLE, Account
from iotxmpp.cli.exits import Exit
from iotxmpp.cli.options import AccountOption, JsonOption
from iotxmpp.cli.output import print_json, speaks_utf
from iotxmpp.errors import InvalidError
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.doctor.device import Device
    from iotxmpp.doctor.examine import Check
    from iotxmpp.doctor.plan import Result

_MARKS = {"ok": ("✓", "ok"), "advice": ("!", "!"), "fault": ("✗", "X")}
_COLOURS = {"ok": "green", "advice": "yellow", "fault": "red"}


def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="A device's agent.toml; without it, nothing is needed.")
    ] = None,
    account: AccountOption = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this group or check; can be given several times.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong with this machine, its hardware and its server, and what to do about it."""
    known = _device(config)  # not on the loop, as `agent run` does it
    raise typer.Exit(asyncio.run(_examine(account, only or [], known, as_json=as_json)))


async def _examine(
    account: Path | None,
    only: list[str],
    known: "tuple[Device | None, list[str]]",
    *,
    as_json: bool,
) -> int:
    from iotxmpp.doctor.places import Places
    from iotxmpp.doctor.plan import local_checks, names

    device, broken = known
    checks = local_checks(device, Places())
    unknown = set(only) - names(checks)
    if unknown:
        possible = ", ".join(sorted(names(checks)))
        raise typer.BadParameter(
            f"no check {', '.join(sorted(unknown))}; there are: {possible}", param_hint="--only"
        )
    results: list[Result] = []
    async for result in _results(account, device, broken, checks, only):
        if not as_json:
            _show(result, is_new=not results or results[-1].group != result.group)
        results.append(result)
    levels = [finding.level for result in results for finding in result.findings]
    faults, advice = levels.count("fault"), levels.count("advice")
    if as_json:
        rows = [{"group": each.group, **finding.data()} for each in results for finding in each.findings]
        print_json({"ok": not faults, "faults": faults, "advice": advice, "findings": rows})
    else:
        typer.echo(f"\nfaults: {faults}, advice: {advice}, well: {levels.count('ok')}")
    return Exit.FAILED if faults else Exit.OK


def _device(config: Path | None) -> "tuple[Device | None, list[str]]":
    """The device of a file, as far as it can be read, and why its agent would not start."""
    from iotxmpp.agent.config import check_agent
    from iotxmpp.doctor.device import read_device

    if config is None:
        return None, []
    faults: list[str] = []
    try:
        if not config.exists():
            return None, [f"agent file {config}: there is no such file; give a device's agent.toml"]
        faults = check_agent(config)
        return read_device(config), faults
    except (InvalidError, OSError) as error:
        return None, faults or [str(error)]


async def _results(
    given: Path | None,
    device: "Device | None",
    broken: list[str],
    checks: "Collection[Check]",
    only: Collection[str],
) -> "AsyncIterator[Result]":
    from iotxmpp.doctor.examine import plain, run_check
    from iotxmpp.doctor.finding import Finding, fault
    from iotxmpp.doctor.plan import Result, local_results, server_results, wants_server

    if broken:
        yield Result(group="machine", findings=[fault(each, "the agent would not start") for each in broken])
    async for result in local_results(checks, only):
        yield result
    named = os.environ.get(ACCOUNT_VARIABLE)
    file = given or (device.account if device else None) or (Path(named) if named else None)
    if not wants_server(only):
        return
    if file is None:
        typer.echo("The server is not looked at: give an agent's file, or an account by --account.", err=True)
        return
    loaded: list[Account] = []

    def load() -> list[Finding]:
        try:
            loaded.append(Account.load(file))
        except InvalidError as error:
            return [fault(str(error), "without an account, no server can be asked")]
        return []

    findings = await run_check(plain("server", "login", load))  # a folder on a network may hang
    if findings:
        yield Result(group="server", findings=findings)
        return
    async for result in server_results(loaded[0], device, only):
        yield result


def _show(result: "Result", *, is_new: bool) -> None:
    if is_new:
        typer.secho(f"\n{result.group}", bold=True)
    plain = sys.stdout is None or not speaks_utf(sys.stdout.encoding)
    arrow = "->" if plain else "→"
    for finding in result.findings:
        mark = typer.style(_MARKS[finding.level][plain], fg=_COLOURS[finding.level])
        typer.echo(f"  {mark} {printable(finding.what)}")
        if finding.why:
            typer.echo(f"      {printable(finding.why)}")
        for line in finding.fix:
            typer.echo(f"      {arrow} {printable(line, keep=chr(9))}")
