"""What `iotxmpp serial probe` shows and writes."""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from firmware_bridge.candidates import candidates
from firmware_bridge.finding import described
from firmware_bridge.findings import MOST_NAMES, Findings
from firmware_bridge.probing import BAUDS, Probe
from firmware_bridge.scaffold import guessed_unit, profile_name, scaffold
from iotxmpp.account import Account
from iotxmpp.agent.config import load_agent
from iotxmpp.cli.output import print_json, show_value
from iotxmpp.errors import CommandFailedError, ConfigError
from iotxmpp.xmltext import printable

_NO_READINGS = (
    "no reading came, so no file was written; press the board's reset button while it listens, or listen"
    " longer: --seconds 120. A reading is a line such as temperature=21.5 (docs/serial.md)"
)

_ANYBODY = Account(jid="device@example.invalid", password=SecretStr("-"))
"""Stands for the device, which has no account yet."""


async def watched(port: str, baud: int | None, seconds: float | None, *, quiet: bool) -> Findings:
    """Finds what speaks at a port, and shows it for a while; see `Probe` for the seconds.

    Raises:
        CommandFailedError: Nothing is understood, or the port cannot be opened; the text says what to do.
    """
    console = Console(stderr=True, quiet=quiet, emoji=False)
    probe = Probe(
        port,
        bauds=BAUDS if baud is None else (baud,),
        seconds=seconds,
        tell=lambda text: console.print(text, markup=False),
    )
    try:
        findings = await probe.find()
        if findings is None:
            raise CommandFailedError(probe.nothing())
        live = console.is_terminal and not quiet
        with Live(_table(findings), console=console, auto_refresh=False, transient=True) as view:
            await probe.watch(findings, lambda: view.update(_table(findings), refresh=True) if live else None)
    except OSError as error:
        raise CommandFailedError(error.strerror or str(error)) from error
    finally:
        await probe.close()
    return findings


def print_findings(findings: Findings, *, as_json: bool) -> None:
    """Prints what was found; of a board that is refused, JSON alone.

    Raises:
        CommandFailedError: The board is refused; the text says why.
    """
    if as_json:
        print_json(_data(findings))
    elif not findings.refused:
        Console(emoji=False).print(_table(findings))
        if _commands(findings):
            typer.echo(printable(f"commands: {', '.join(_commands(findings))}"))
        if findings.unread:
            typer.echo(printable(findings.why_unread()))
        for line in findings.logs:
            typer.echo(printable(f"# {line}"))
    if findings.refused:
        raise CommandFailedError(f"{findings.port}: {findings.refused}")


def _data(findings: Findings) -> dict[str, Any]:
    board = findings.board
    return {
        "port": findings.port,
        "baud": findings.baud,
        "protocol": _protocol(findings),
        "id": board.id if board is not None else "",
        "name": board.name if board is not None else "",
        "version": board.version if board is not None else "",
        "channels": {name: seen.value for name, seen in findings.channels.items()},
        "commands": _commands(findings),
        "events": findings.events,
        "unfit": findings.unread,
        "damaged": findings.damaged,
        "damage": findings.damage,
        "refused": findings.refused,
    }


def offer(findings: Findings, folder: Path, *, force: bool, aside: bool = False) -> None:
    """Writes the profile and the agent's file, and says what comes next.

    Args:
        findings: What the board said.
        folder: Where to write.
        force: Whether files that are there are replaced.
        aside: Whether it speaks on the error output, as the other is for a program.

    Raises:
        CommandFailedError: There was no reading to write a profile of.
        ConfigError: One of them is there, cannot be written, or would not load.
    """
    if not findings.has_readings:
        if findings.unread:
            raise CommandFailedError(f"{findings.port}: {findings.why_unread()}; so no file was written")
        damage = f". The newest damage: {findings.damage}" if findings.damage else ""
        raise CommandFailedError(f"{findings.port}: {_NO_READINGS}{damage}")
    found = candidates()
    made = scaffold(findings, ports={each.path: each.lasting for each in found})
    texts = {"agent.toml": made.agent} | ({profile_name(made): made.profile} if made.profile else {})
    there = [str(folder / name) for name in texts if (folder / name).exists()]
    if there and not force:
        raise ConfigError(f"{', '.join(there)}: already there; choose another --write DIR, or give --force")
    with TemporaryDirectory() as trial:
        _written(Path(trial), texts)
        load_agent(Path(trial) / "agent.toml", account=_ANYBODY)
    paths = _written(folder, texts)
    account = shlex.quote(str(folder / f"{made.device}.account.toml"))
    agent = shlex.quote(str(folder / "agent.toml"))
    typer.echo(f"written: {', '.join(map(str, paths))}; look at what is marked `# check`, then:", err=aside)
    typer.echo(f"  iotxmpp device add {made.device} --output {account}", err=aside)
    typer.echo(f"  iotxmpp agent run {agent}", err=aside)


def _written(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Writes files into a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error}") from error
    return [folder / name for name in texts]


def _table(findings: Findings) -> Table:
    board = "PMS5003" if findings.protocol == "pms5003" else described(findings.board)
    title = f"{findings.port}, {findings.baud} baud, {_protocol(findings)}: {board}"
    table = Table("channel", "value", "count", "age", title=escape(printable(title)), title_justify="left")
    known = {each.name: each.unit for each in findings.description.channels} if findings.description else {}
    now = time.monotonic()
    for name, seen in sorted(findings.channels.items()):
        unit = known.get(name) or ("" if findings.description else guessed_unit(name, seen))
        shown = show_value(seen.value, unit if not isinstance(seen.value, bool | str) else None)
        table.add_row(escape(printable(name)), escape(shown), str(seen.count), f"{now - seen.at:.0f} s")
    for name, came in sorted(findings.unread.items()):
        table.add_row(escape(printable(name)), escape(printable(f"{came}, no number")), "", "")
    for name, text in sorted(findings.events.items()):
        table.add_row(escape(printable(f"!{name}")), escape(printable(text)), "", "")
    damage = f", the newest: {findings.damage}" if findings.damage else ""
    notes = [f"{findings.damaged} damaged{damage}"] if findings.damaged else []
    if findings.unnoted:
        notes.append(f"more than {MOST_NAMES} names; {findings.unnoted} values or events of others not shown")
    table.caption = escape(printable("; ".join(notes))) or None
    return table


def _protocol(findings: Findings) -> str:
    if findings.protocol == "pms5003":
        return "pms5003"
    return "frames" if findings.board is not None and findings.board.level == 1 else "text"


def _commands(findings: Findings) -> list[str]:
    return [each.name for each in findings.description.commands] if findings.description else []
