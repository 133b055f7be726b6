"""`iotxmpp audit`: who did what with a device, and whether that log was changed."""

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from iotxmpp.cli.device_files import ConfigOption, outbox_of_account, outbox_of_agent_file
from iotxmpp.cli.exits import Exit
from iotxmpp.cli.options import JsonOption, chosen_account
from iotxmpp.cli.output import print_json, print_list, show_time
from iotxmpp.durations import moment
from iotxmpp.errors import ArgumentsError, InvalidError, StoreError
from iotxmpp.xmltext import printable

app = typer.Typer(help="See who did what, and verify that the log was not changed.", no_args_is_help=True)

FileArgument = Annotated[
    Path | None, typer.Argument(help="The log; else that of --config, else of the account.")
]
AccountOption = Annotated[
    Path | None, typer.Option("--account", "-a", help="The account file of the device or controller.")
]

_COLUMNS = ("time", "who", "device", "command", "arguments", "result", "text")


@app.command("verify")
def verify(
    file: FileArgument = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    expect: Annotated[
        str | None,
        typer.Option(help="A line that must be in it, as NUMBER:HASH, as an earlier `verify` told it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find a changed, removed or added line; the agent may be running."""
    from iotxmpp.serving import auditcheck

    path = _path(file, config, account)
    verdict = auditcheck.verify(path, expect=_expected(expect))
    if as_json:
        print_json(
            {
                "file": str(path),
                "ok": verdict.ok,
                "lines": verdict.lines,
                "fault": verdict.first_fault,
                "first": verdict.first,
                "since": verdict.since,
                "last": verdict.last,
                "hash": verdict.hash,
            }
        )
    elif verdict.ok:
        typer.echo(_begins(verdict.first, verdict.since))
        typer.echo(f"{path}: {verdict.lines} lines, unchanged; the last is {verdict.last}:{verdict.hash}")
    else:
        typer.echo(f"{path}: {printable(verdict.first_fault)}")
    if not verdict.ok:
        raise typer.Exit(Exit.FAILED)


@app.command("show")
def show(
    file: FileArgument = None,
    config: ConfigOption = None,
    account: AccountOption = None,
    who: Annotated[str | None, typer.Option(help="Only what this JID did, or was done for it.")] = None,
    command: Annotated[str | None, typer.Option(help="Only this command.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From when on: so long ago (30m, 2h, 7d), or a time of ISO 8601.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Show what was done and refused, the oldest first; the agent may be running."""
    from iotxmpp.serving.auditcheck import entries

    low = None if since is None else moment(since, time.time(), "--since")
    path = _path(file, config, account)
    oldest = next(entries(path), None)
    if oldest is not None:
        typer.echo(_begins(oldest["n"], oldest.get("time", 0)), err=True)
    wanted = (
        each
        for each in entries(path)
        if (who is None or _is_of(each, who))
        and (command is None or each.get("command") == command)
        and (low is None or each.get("time", 0) >= low)
    )
    newest = deque(wanted, maxlen=limit)
    print_list(newest, _COLUMNS, row=_row, nothing="nothing of that kind", as_json=as_json)


def _begins(first: int, since: float) -> str:
    """From when on there are lines, for people."""
    if not first:
        return "the log has no line yet"
    if first == 1:
        return f"all lines are there, from {show_time(since)} on"
    return (
        f"lines are there from number {first}, {show_time(since)}, on; the files of older ones were dropped"
    )


def _path(file: Path | None, config: Path | None, account: Path | None) -> Path:
    if file is not None:
        return file
    from iotxmpp.controller.store.places import audit_place, default_store_url
    from iotxmpp.serving.audit import audit_path

    if config is not None:
        return audit_path(outbox_of_agent_file(config, ", and so is its audit log"))
    chosen = chosen_account(account, "device")
    return _of_account(
        audit_path(outbox_of_account(chosen)), audit_place(default_store_url(chosen.jid), chosen.jid)
    )


def _of_account(device: Path, controller: Path | None) -> Path:
    """The log that is there: the account is a device's or a controller's."""
    there = [each for each in (device, controller) if each is not None and _is_there(each)]
    if len(there) > 1:
        raise InvalidError(
            f"the account has two audit logs, as a device {there[0]} and as a controller {there[1]};"
            " give one of them as FILE"
        )
    if not there:
        raise StoreError(f"the account has no audit log here: neither {device} nor {controller} is there")
    return there[0]


def _is_there(path: Path) -> bool:
    from iotxmpp.serving.auditchain import head_path, rotated_files

    # A log whose newest file was removed is one, too.
    return path.exists() or head_path(path).exists() or bool(rotated_files(path))


def _expected(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or not digest:
        raise ArgumentsError(f"--expect {text!r}: give NUMBER:HASH, as `iotxmpp audit verify` shows them")
    return int(number), digest.lower()


def _is_of(entry: dict[str, Any], who: str) -> bool:
    return who.lower() in (str(entry.get("who")).partition("/")[0].lower(), str(entry.get("by")).lower())


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    by = entry.get("by", "")
    account = str(entry.get("who", "")).partition("/")[0]
    return {
        **entry,
        "time": show_time(entry.get("time", 0)),
        "who": f"{account} for {by}" if by and by != account else account,
    }
