"""The live table of a fleet: device, presence, last readings, age."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from iotxmpp.cli.output import show_age, show_value
from iotxmpp.xmltext import printable

if TYPE_CHECKING:
    from iotxmpp.controller import Device

_STYLES = {
    "online": "green",
    "stale": "yellow",
    "lost": "bold red",
    "sleeping": "blue",
    "offline": "red",
    "unknown": "yellow",
}
_MOST_CHANNELS = 4


def fleet_table(
    devices: Mapping[str, "Device"], *, title: str, caption: str, last: Callable[[str], str] | None = None
) -> Table:
    """The table of all devices as they are now.

    Args:
        devices: The devices by id.
        title: Stands above.
        caption: Stands below.
        last: What to show of each device in one more column, the last command; None for no such column.
            Its line ends are kept, so the caller sees to those in what a device says.
    """
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", expand=False)
    for heading in ("device", "kind", "presence", "last readings", "age", *(("command",) if last else ())):
        table.add_column(heading, no_wrap=heading in ("presence", "age"), overflow="fold")
    for name in sorted(devices):
        device = devices[name]
        kind = device.about.profile.partition(" ")[0] if device.about else ""
        cells = [name, escape(printable(kind)), _presence(device), _readings(device), _age(device)]
        table.add_row(*cells, *([escape(printable(last(name), keep="\n"))] if last else []))
    return table


def _presence(device: "Device") -> str:
    style = _STYLES.get(device.state, "yellow")
    problems = len(device.status.problems) if device.status else 0
    more = f" ({problems} problem{'s' if problems > 1 else ''})" if problems else ""
    return f"[{style}]{device.state}[/]{more}"


def _readings(device: "Device") -> str:
    shown = sorted(device.readings.values(), key=lambda reading: reading.channel)[:_MOST_CHANNELS]
    more = len(device.readings) - len(shown)
    lines = [f"{printable(reading.channel)} {show_value(reading.value, reading.unit)}" for reading in shown]
    return escape("\n".join([*lines, f"and {more} more"] if more else lines))


def _age(device: "Device") -> str:
    return "" if device.silence is None else show_age(device.silence)
