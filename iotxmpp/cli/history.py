"""`iotxmpp history`: what the controller's store knows of a device over time."""

import time
from collections import deque
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.cli.controller import StoreOption
from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account, named_device
from iotxmpp.cli.output import print_json, print_table
from iotxmpp.durations import moment
from iotxmpp.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotxmpp.controller.store import Entry, History

_SQLITE = "sqlite:///"


def history(
    device: Annotated[str, typer.Argument(help="The device's id, or its JID.")],
    channel: Annotated[str | None, typer.Argument(help="Only this channel.")] = None,
    since: Annotated[
        str, typer.Option(help="From when on: so long ago (30m, 2h, 7d), or a date or time of ISO 8601.")
    ] = "1d",
    until: Annotated[str | None, typer.Option(help="Until when, likewise; else until now.")] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Also gap records, changes of state and other events.")
    ] = False,
    limit: Annotated[int, typer.Option(help="At most so many rows of the table, the newest.", min=1)] = 1000,
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV (RFC 4180) that is safe to open in a spreadsheet.")
    ] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Plot numbers in the terminal.")] = False,
    png: Annotated[Path | None, typer.Option(help="Plot numbers into this PNG file.")] = None,
    account: AccountOption = None,
    store: StoreOption = None,
) -> None:
    """Show a device's readings, summaries where readings are gone, and events; a controller may run."""
    now = time.time()
    low = moment(since, now, "--since")
    high = now if until is None else moment(until, now, "--until")
    if low >= high:
        raise ArgumentsError(f"--since {since!r} is not before --until {until or 'now'!r}")
    if as_json + as_csv + (plot or png is not None) > 1:
        raise ArgumentsError("choose one of --json, --csv and --plot or --png")
    name = named_device(device)
    with _opened(account, store) as opened:
        # What comes while we read is of now, too.
        entries = opened.entries(name, channel, since=low, until=high if until else None, events=events)
        if as_json:
            _print_lines(entries, name)
        elif as_csv:
            _print_csv(entries)
        elif plot or png is not None:
            _plot(entries, name, (low, high), plot=plot, png=png)
        else:
            _print_table(entries, name, limit)


@contextmanager
def _opened(account: Path | None, store: str | None) -> "Iterator[History]":
    from iotxmpp.controller import Store, default_store_url
    from iotxmpp.controller.store import History

    url = store or default_store_url(chosen_account(account, "controller").jid)
    if url.startswith(_SQLITE):
        path = Path(url.removeprefix(_SQLITE).partition("?")[0])
        if not path.exists():
            raise ArgumentsError(f"--store {url}: there is no such file; a controller makes it when it runs")
    with closing(Store(url)) as opened:
        yield History(opened.database)


def _print_lines(entries: "Iterator[Entry]", device: str) -> None:
    from iotxmpp.cli.entries import as_data

    for entry in entries:
        print_json(as_data(entry, device))


def _print_csv(entries: "Iterator[Entry]") -> None:
    import csv
    import sys

    from iotxmpp.cli.entries import CSV_COLUMNS, as_cells

    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for entry in entries:
        writer.writerow(as_cells(entry))


def _print_table(entries: "Iterator[Entry]", device: str, limit: int) -> None:
    from iotxmpp.cli.entries import as_row

    count = 0
    newest: deque[Entry] = deque(maxlen=limit)
    for entry in entries:
        count += 1
        newest.append(entry)
    if not count:
        typer.echo(f"{device}: nothing in that time", err=True)
        return
    print_table([as_row(entry) for entry in newest], ("time", "channel", "value", "note"))
    if count > limit:
        typer.echo(f"the newest {limit} of {count}; --limit, --csv and --json show more", err=True)


def _plot(
    entries: "Iterator[Entry]", device: str, span: tuple[float, float], *, plot: bool, png: Path | None
) -> None:
    from iotxmpp.cli.plotting import curves, plot_in_terminal, plot_into_png

    found = curves(entries, device, span)
    if plot:
        plot_in_terminal(found, device)
    if png is not None:
        plot_into_png(found, device, png)
