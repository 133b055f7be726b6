"""Entries of a device's history, as data, as cells of CSV, and as rows of a table."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from iotxmpp.cli.output import plain_text, show_age, show_time, show_value
from iotxmpp.controller.store import Entry, Event, Lost, StateChange, Summary
from iotxmpp.readings import Reading

CSV_COLUMNS = (
    "time",
    "what",
    "channel",
    "value",
    "unit",
    "late",
    "seconds",
    "count",
    "least",
    "greatest",
    "text",
)

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001  # spreadsheets take the wide ones, too
_KINDS = {Reading: "reading", Summary: "summary", Lost: "gap", StateChange: "state", Event: "event"}


def as_data(entry: Entry, device: str) -> dict[str, Any]:
    """An entry as JSON has it; `what` says what it is, and times are seconds since 1970."""
    data = asdict(entry)
    return {"what": _KINDS[type(entry)], "device": device, "time": data.pop("time"), **data}


def as_cells(entry: Entry) -> list[str]:
    """An entry as cells, one for each of `CSV_COLUMNS`; times are of ISO 8601, in UTC.

    Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection), and
    control characters are written as escapes; JSON has text as it is.
    """
    cells: dict[str, str] = {}
    match entry:
        case Reading():
            value = entry.value
            cells = {
                "channel": _safe(entry.channel),
                "value": _safe(value) if isinstance(value, str) else _number(value),
                "unit": _safe(entry.unit or ""),
                "late": _number(entry.historical),
            }
        case Summary():
            cells = {
                "channel": _safe(entry.channel),
                "value": _number(entry.mean),
                "unit": _safe(entry.unit or ""),
                "seconds": _number(entry.seconds),
                "count": _number(entry.count),
                "least": _number(entry.least),
                "greatest": _number(entry.greatest),
            }
        case _:
            cells = {"text": _safe(_told(entry))}
    cells |= {"time": _iso(entry.time), "what": _KINDS[type(entry)]}
    return [cells.get(column, "") for column in CSV_COLUMNS]


def as_row(entry: Entry) -> dict[str, str]:
    """An entry as a row of a table, for people: `time`, `channel`, `value`, `note`."""
    row = {"time": show_time(entry.time)}
    match entry:
        case Reading():
            shown = show_value(entry.value, entry.unit)
            note = "late" if entry.historical else ""
            return row | {"channel": entry.channel, "value": shown, "note": note}
        case Summary():
            least, greatest = (show_value(each, entry.unit) for each in (entry.least, entry.greatest))
            note = f"mean of {entry.count} in {show_age(entry.seconds)}, {least} to {greatest}"
            return row | {"channel": entry.channel, "value": show_value(entry.mean, entry.unit), "note": note}
        case _:
            return row | {"channel": f"({_KINDS[type(entry)]})", "note": _told(entry)}


def _told(entry: Lost | StateChange | Event) -> str:
    match entry:
        case Lost():
            count = entry.last - entry.first + 1
            numbers = f"{entry.first} to {entry.last}" if count > 1 else f"{entry.first}"
            return f"{count} lost ({entry.reason}): {numbers} of {entry.epoch}"
        case StateChange():
            return f"{entry.state}: {entry.why}"
        case Event():
            return f"{entry.kind}: {entry.text}"


def _number(value: bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(text: str) -> str:
    plain = plain_text(text)
    # A spreadsheet passes over blanks before it looks for a formula.
    return f"'{plain}" if plain.lstrip().startswith(_FORMULA) else plain
