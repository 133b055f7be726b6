"""How data is printed: a table for people, JSON for scripts."""

import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from io import TextIOWrapper
from typing import Any

import typer

from iotxmpp.readings import Value
from iotxmpp.units import shown_unit
from iotxmpp.xmltext import printable

_WIDEST = 100_000
"""Columns of what is no terminal: a pipe or a file folds nothing."""


def print_json(data: object) -> None:
    """One JSON document on one line, at once, so that a pipe sees it."""
    typer.echo(shown_json(data))


def shown_json(data: object, *, indent: int | None = None) -> str:
    """JSON whose text neither steers a terminal nor holds a letter that standard output cannot write."""
    plain = sys.stdout is None or not speaks_utf(sys.stdout.encoding)
    text = json.dumps(data, ensure_ascii=plain, allow_nan=False, default=str, indent=indent)
    # What is not printable in it stands within strings, but for the line ends between its parts.
    return printable(text, keep="\n", escape=_json_escape)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def speaks_utf(encoding: str | None) -> bool:
    """Whether every letter can be written in that encoding."""
    return (encoding or "").lower().startswith("utf")


def replace_unspeakable_letters() -> None:
    """From now on, a letter that standard output cannot write becomes a question mark, and no error."""
    if isinstance(sys.stdout, TextIOWrapper) and not speaks_utf(sys.stdout.encoding):
        sys.stdout.reconfigure(errors="replace")


def discard_output() -> None:
    """From now on, nothing reaches standard output, also not what waits in its buffer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def plain_text(text: str) -> str:
    """Text that others wrote, made unable to steer a terminal: control characters are shown, not sent."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Iterable[str], *, whole: Collection[str] = ()
) -> None:
    """A table whose columns are keys of the rows.

    On a terminal, cells fold where it is too narrow; elsewhere the table is as wide as it must be. Nothing is
    cut.

    Args:
        rows: The rows.
        columns: The columns.
        whole: Columns that do not even fold, unless a single one of their cells is wider than the terminal.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    names = list(columns)
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(emoji=False, width=None if is_terminal else _WIDEST)
    table = Table()
    cells = [[printable(str(row.get(name, ""))) for name in names] for row in rows]
    for place, name in enumerate(names):
        widest = max((len(row[place]) for row in cells), default=0)
        fixed = name in whole and widest <= console.width // 2
        table.add_column(name, overflow="fold", no_wrap=fixed, min_width=widest if fixed else None)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def print_list(
    entries: Collection[Mapping[str, Any]],
    columns: Iterable[str],
    *,
    row: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    nothing: str,
    as_json: bool,
    whole: Collection[str] = (),
) -> None:
    """Entries as a table, or as one JSON document a line.

    Args:
        entries: What there is.
        columns: The columns of the table.
        row: Makes an entry's row.
        nothing: What people are told where there is nothing.
        as_json: Print JSON.
        whole: Columns that do not fold, as for `print_table`.
    """
    if as_json:
        for each in entries:
            print_json(each)
    elif entries:
        print_table([row(each) for each in entries], columns, whole=whole)
    else:
        typer.echo(nothing, err=True)


def show_value(value: Value, unit: str | None) -> str:
    """A reading's value for people, such as `21.5 °C`, `on` or `open`; one line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return printable(f"{text} {shown_unit(unit)}" if unit else text)


def show_time(seconds: float) -> str:
    """Seconds since 1970 for people, in the time zone of this machine."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def show_age(seconds: float) -> str:
    """An age for people, such as `3 s`, `12 min` or `5 h`."""
    minute, hour, day = 60, 3600, 86400
    if seconds < minute:
        return f"{max(seconds, 0):.0f} s"
    if seconds < hour:
        return f"{seconds / minute:.0f} min"
    return f"{seconds / hour:.0f} h" if seconds < 2 * day else f"{seconds / day:.0f} days"
