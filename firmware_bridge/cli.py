"""`iotxmpp serial`: which ports there are, what speaks at them, and new firmware for a board."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from firmware_bridge.flash import Progress

app = typer.Typer(help="Boards at serial ports: list, probe and flash them.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for scripts.")]
PortArgument = Annotated[
    str | None, typer.Argument(metavar="[PORT]", help="The port, or socket://host:port.")
]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the serial ports, what is plugged in, and who holds them."""
    from firmware_bridge.candidates import candidates, holders
    from iotxmpp.cli.output import print_json, print_table

    rows: list[dict[str, Any]] = [
        {
            "port": each.path,
            "what": each.product,
            "by path": each.by_path,
            "by id": each.by_id,
            "held by": ", ".join(holders(each.path)),
        }
        for each in candidates(all_kinds=True)
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows, tuple(rows[0]))
    else:
        typer.echo("no serial port is there; plug a board in (some cables only charge)", err=True)


@app.command("probe")
def probe(
    port: PortArgument = None,
    baud: Annotated[int | None, typer.Option(min=50, help="Its speed; found unless given.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="How long to listen; 60 to find it and 10 to show it unless given."),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a profile and agent.toml there.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Overwrite them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what speaks at a port, and write the files to run it."""
    from firmware_bridge.probeview import offer, print_findings, watched

    chosen = port or _only_port()
    findings = asyncio.run(watched(chosen, baud, seconds, quiet=as_json))
    print_findings(findings, as_json=as_json)
    if write is None and findings.has_readings and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        write = Path() if typer.confirm("Write a profile and agent.toml here?", default=False) else None
    if write is not None:
        offer(findings, write, force=force, aside=as_json)


@app.command("flash")
def flash(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[PORT] FILE [-- ARGUMENTS]",
            help="The port, unless --agent says it; the firmware; and arguments for the tool.",
        ),
    ],
    expect: Annotated[str, typer.Option(help="The version that the board's hello must say afterwards.")],
    agent: Annotated[
        Path | None, typer.Option(help="The agent.toml of the device: its port, board and tool.")
    ] = None,
    tool: Annotated[str | None, typer.Option(help="avrdude, esptool, dfu-util or smpclient.")] = None,
    baud: Annotated[int | None, typer.Option(min=50, help="The speed of the board's own program.")] = None,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds that the tool may take.")] = None,
    again: Annotated[
        bool, typer.Option("--again", metavar="", help="The version may be the one that runs already.")
    ] = False,
) -> None:
    """Write firmware to a board; only a hello with the expected version counts as success.

    While an agent holds the port, call the device's command firmware-update instead.
    """
    from firmware_bridge.flashing import flash_now, planned

    update, settings = planned(
        words, agent=agent, tool=tool, expect=expect, baud=baud, timeout=timeout, again=again
    )
    version = asyncio.run(flash_now(update, settings, _progress()))
    typer.echo(f"done: the board says version {version}")


def _only_port() -> str:
    """The port of the only candidate.

    Raises:
        ConfigError: There is none, or more than one.
    """
    from firmware_bridge.candidates import candidates
    from iotxmpp.errors import ConfigError

    found = candidates()
    if len(found) == 1:
        return found[0].path
    if not found:
        raise ConfigError("no serial port of a USB board is there; plug it in (some cables only charge)")
    raise ConfigError(f"several ports; give one: {', '.join(each.path for each in found)}")


def _progress() -> "Progress":
    """Shows how far it is: one line that is drawn anew in a terminal, else a line each quarter."""
    drawn: set[tuple[str, int]] = set()
    terminal = sys.stderr.isatty()
    width = min(40, max(10, os.get_terminal_size(2).columns - 30)) if terminal else 0

    def progress(phase: str, share: float) -> None:
        if terminal:
            bar = "#" * round(share * width)
            end = "\n" if share >= 1 else ""
            typer.echo(f"\r{phase:<12} [{bar:<{width}}] {share:4.0%}{end}", nl=False, err=True)
            return
        quarter = (phase, int(share * 4) * 25)
        if quarter not in drawn:
            drawn.add(quarter)
            typer.echo(f"{phase} {quarter[1]} %", err=True)

    return progress
