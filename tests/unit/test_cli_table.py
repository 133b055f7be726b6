"""The live table of a fleet."""

import time
from io import StringIO

from pydantic import SecretStr
from rich.console import Console

from iotxmpp.about import About, Channel
from iotxmpp.account import Account
from iotxmpp.addresses import device_id
from iotxmpp.agent.presence import Why
from iotxmpp.cli.table import fleet_table
from iotxmpp.controller import Device
from iotxmpp.link import Presence
from iotxmpp.memory import MemoryServer
from iotxmpp.readings import Reading, Value
from iotxmpp.status import DeviceStatus


def device(name: str, **values: Value) -> Device:
    link = MemoryServer().link(Account(jid="house@localhost", password=SecretStr("secret")))
    made = Device(device_id(name), f"{name}@localhost", link=link)
    made.sessions.link_up(resumed=False)
    made.pulse.link_up(resumed=False)
    made.describe(
        About(device=name, profile="bme280 1.0.0", channels=dict.fromkeys(values, Channel(type="str")))
    )
    if values:
        made.hear(Reading(channel=each, value=value, time=0.0) for each, value in values.items())
    return made


def shown(*devices: Device, last: dict[str, str] | None = None) -> dict[str, str]:
    """The rows of the table by device, the rows of one device in one text."""
    console = Console(file=StringIO(), width=200)
    told = last.__getitem__ if last is not None else None
    console.print(fleet_table({each.id: each for each in devices}, title="here", caption="there", last=told))
    assert isinstance(console.file, StringIO)
    text, rows, name = console.file.getvalue(), dict[str, str](), ""
    assert text.startswith("here")
    assert "there" in text.splitlines()[-1]
    for line in text.splitlines():
        if line.startswith("│"):
            name = line.split("│")[1].strip() or name
            rows[name] = rows.get(name, "") + line
    return rows


def says(device: Device, *problems: str, why: Why = "heartbeat", sleeping: float | None = None) -> None:
    """Presence with a status comes from the device, or with `stop` its goodbye."""
    status = DeviceStatus(heartbeat=30, uptime=1, version="1", why=why, problems=problems, sleeping=sleeping)
    come(device, Presence(sender=f"{device.jid}/1", available=why != "stop"), status)


def come(device: Device, presence: Presence, status: DeviceStatus | None = None) -> None:
    device.sessions.see(presence, status)
    device.saw_presence(presence)


def test_a_device_with_its_readings() -> None:
    attic = device("attic", temperature=21.5, door=True)
    says(attic)
    row = shown(attic)["attic"]
    assert "bme280" in row
    assert "1.0.0" not in row
    assert "│ online │" in " ".join(row.split())
    assert "temperature 21.5" in row
    assert "door on" in row
    assert "0 s" in row


def test_the_presence_of_each() -> None:
    well, gone, new, ill, cut, asleep, silent = (
        device(name) for name in ("well", "gone", "new", "ill", "cut", "asleep", "silent")
    )
    for each in (well, gone, cut, silent):
        says(each)
    says(gone, why="stop")
    says(ill, "the valve is stuck", "no sensor")
    says(asleep, why="sleep", sleeping=600)
    come(cut, Presence(sender=f"{cut.jid}/1", available=False))
    silent.pulse.liveness.tick(time.monotonic() + 40)
    rows = shown(well, gone, new, ill, cut, asleep, silent)
    assert {name: row.split("│")[3].strip() for name, row in rows.items()} == {
        "asleep": "sleeping",
        "cut": "lost",
        "gone": "offline",
        "ill": "online (2 problems)",
        "new": "unknown",
        "silent": "stale",
        "well": "online",
    }
    assert list(rows) == sorted(rows)


def test_a_narrow_terminal_folds_a_device_and_cuts_nothing() -> None:
    name = "greenhouse-" * 5 + "north"
    console = Console(file=StringIO(), width=70)
    console.print(fleet_table({name: device(name, temperature=21.5)}, title="here", caption="there"))
    assert isinstance(console.file, StringIO)
    rows = [line.split("│") for line in console.file.getvalue().splitlines() if line.startswith("│")]
    assert "".join(row[1].strip() for row in rows) == name


def test_many_channels_are_cut() -> None:
    row = shown(device("attic", **{f"c{n}": n for n in range(7)}))["attic"]
    assert "c3 3" in row
    assert "c4" not in row
    assert "and 3 more" in row


def test_a_devices_text_neither_steers_the_terminal_nor_adds_a_line() -> None:
    rows = shown(device("attic", note="a\n\x9b31m\u202e"), last={"attic": "water\n→ \x1b[2J"})
    assert list(rows) == ["attic"]
    assert r"note a\n\x9b31m\u202e" in rows["attic"]
    assert r"→ \x1b[2J" in rows["attic"]


def test_a_devices_text_is_no_markup() -> None:
    row = shown(device("attic", note="[red]alarm[/red]"), last={"attic": "water\n→ [bold]"})["attic"]
    assert "note [red]alarm[/red]" in row
    assert "→ [bold]" in row
