"""What `iotxmpp simulate` shows: a live line, a summary, and printed values."""

import asyncio
import csv
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from iotxmpp.cli.output import print_json
from iotxmpp.readings import Value

if TYPE_CHECKING:
    from iotxmpp.simulation.fleet import Fleet, State
    from iotxmpp.simulation.printing import Line
    from iotxmpp.simulation.venue import Venue

CSV_COLUMNS = ("time", "device", "channel", "value", "unit")

_REFRESH = 0.5
_MEGABYTE = 1 << 20


def printer(*, as_json: bool) -> "Callable[[Line], None]":
    """What prints a value: a row of CSV (RFC 4180) after its head, or a JSON object a line."""
    if as_json:
        return lambda line: print_json(
            {
                "time": round(line.time, 3),
                "device": line.device,
                "channel": line.channel,
                "value": line.value,
                "unit": line.unit,
            }
        )
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)

    def row(line: "Line") -> None:
        writer.writerow((_iso(line.time), line.device, line.channel, _cell(line.value), line.unit or ""))

    return row


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def introduce(venue: "Venue", fleet: "Fleet", seconds: float | None) -> None:
    """Says what is about to run, on standard error."""
    end = "Ctrl+C ends it" if seconds is None else f"for {seconds:g} s"
    typer.echo(f"{fleet.state().devices} devices at {venue.where}; {end}", err=True)
    if venue.watch is not None:
        typer.echo(f"watch them: iotxmpp watch --account {venue.watch}", err=True)


@asynccontextmanager
async def shown(fleet: "Fleet") -> AsyncIterator[None]:
    """Shows how the fleet is, again and again, if somebody looks on."""
    showing = asyncio.create_task(_show(fleet))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(fleet: "Fleet") -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        return
    before = 0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            state = fleet.state()
            live.update(Text(_line(state, (state.values - before) / _REFRESH)), refresh=True)
            before = state.values
            await asyncio.sleep(_REFRESH)


def _line(state: "State", rate: float) -> str:
    return (
        f"{state.online} of {state.devices} online, {rate:.0f} readings/s, "
        f"{state.commands} commands answered, faults: {_faults(state)}"
    )


def _faults(state: "State") -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(state.faults.items())) or "none"


def summarise(fleet: "Fleet") -> None:
    """Says what became of it."""
    state = fleet.last
    rate = state.values / fleet.ran if fleet.ran else 0.0
    typer.echo(
        f"{state.seen} of {state.devices} devices got online, {state.online} were at the end; "
        f"{state.values} readings ({rate:.1f}/s), {state.commands} commands answered, "
        f"{state.lost} connections lost; {_memory() / _MEGABYTE:.0f} MB of memory"
    )


def _memory() -> int:
    """Bytes of memory that this process has now; 0 where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
