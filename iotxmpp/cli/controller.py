"""`iotxmpp controller`: runs a controller without code, and lists what it rejected."""

import asyncio
import logging
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account
from iotxmpp.cli.output import print_json, print_table, show_time
from iotxmpp.durations import duration
from iotxmpp.errors import ArgumentsError

if TYPE_CHECKING:
    from iotxmpp.controller import Retention

_SQLITE = "sqlite:///"

app = typer.Typer(help="Run a controller, and look at what it rejected.", no_args_is_help=True)

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Store as a database URL; default: SQLite in the state directory."),
]


KeepOption = Annotated[
    str | None, typer.Option(help="How long readings are kept, such as 30d; else for ever.")
]
MinutesOption = Annotated[
    str | None,
    typer.Option(help="How long summaries of a minute are kept, such as 180d; else none are made."),
]
HoursOption = Annotated[
    str | None, typer.Option(help="How long summaries of an hour are kept, such as 5y; else none are made.")
]
RecordsOption = Annotated[
    str | None, typer.Option(help="How long rejections, events and gap records are kept; else for ever.")
]


def check_there(url: str) -> None:
    """Refuses a SQLite store that is not there: opening it would make one.

    Raises:
        ArgumentsError: There is no such file.
    """
    if not url.startswith(_SQLITE):
        return
    if not Path(url.removeprefix(_SQLITE).partition("?")[0]).exists():
        raise ArgumentsError(f"--store {url}: there is no such file; a controller makes it when it runs")


@app.command("run")
def run(
    account: AccountOption = None,
    store: StoreOption = None,
    metrics_port: Annotated[int, typer.Option(help="Port of the Prometheus metrics; 0 chooses.")] = 9464,
    keep: KeepOption = None,
    keep_minutes: MinutesOption = None,
    keep_hours: HoursOption = None,
    keep_records: RecordsOption = None,
    access: Annotated[
        Path | None, typer.Option(help="TOML file with a table [access]: who may call devices through it.")
    ] = None,
) -> None:
    """Validate every device's readings, keep what is rejected, and export metrics, until stopped."""
    from iotxmpp import Controller
    from iotxmpp.access import load_access

    allowed = None if access is None else load_access(access)
    retention = _retention(keep, keep_minutes, keep_hours, keep_records)
    log = logging.getLogger("iotxmpp")
    log.setLevel(min(logging.INFO, logging.getLogger().level))
    controller = Controller(
        chosen_account(account, "controller"),
        store=store,
        retention=retention,
        metrics_port=metrics_port,
        access=allowed,
    )

    async def serve() -> None:
        from iotxmpp.cli.signals import interruptible

        async with interruptible(), controller:
            log.info("controlling as %s; metrics at %s", controller.jid, controller.metrics_url)
            await asyncio.Event().wait()

    asyncio.run(serve())


def _retention(raw: str | None, minutes: str | None, hours: str | None, records: str | None) -> "Retention":
    from iotxmpp.controller import Retention

    given = {"--keep": raw, "--keep-minutes": minutes, "--keep-hours": hours, "--keep-records": records}
    for option, text in given.items():
        if text is not None:
            duration(text, option)  # told by the option's own name
    return Retention(raw=raw, minutes=minutes, hours=hours, records=records)


@app.command("rejected")
def rejected(
    account: AccountOption = None,
    store: StoreOption = None,
    device: Annotated[str | None, typer.Option(help="Only of this device.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 100,
    as_json: JsonOption = False,
) -> None:
    """List what failed validation, with its reason."""
    from iotxmpp.controller import Store, default_store_url

    url = store or default_store_url(chosen_account(account, "controller").jid)
    check_there(url)
    with closing(Store(url)) as opened:
        rows = [asdict(rejection) for rejection in opened.rejections(device=device, limit=limit)]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        for row in rows:
            row["time"] = show_time(row["time"])
        print_table(rows, ("time", "device", "node", "item", "code", "error"))
