"""The live table of a fleet."""

from io import StringIO

from pydantic import SecretStr
from rich.console import Console

from iotxmpp.about import About, Channel
from iotxmpp.account import Account
from iotxmpp.addresses import device_id
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


def seen(name: str, *problems: str, available: bool = True) -> tuple[Presence, DeviceStatus]:
    status = DeviceStatus(heartbeat=30, uptime=1, version="1", problems=problems)
    return Presence(sender=f"{name}@localhost/1", available=available), status


def test_a_device_with_its_readings() -> None:
    attic = device("attic", temperature=21.5, door=True)
    attic.sessions.see(*seen("attic"))
    row = shown(attic)["attic"]
    assert "bme280" in row
    assert "1.0.0" not in row
    assert "online" in row
    assert "temperature 21.5" in row
    assert "door on" in row
    assert "0 s" in row


def test_the_presence_of_each() -> None:
    online, offline, unknown, ill = (device(name) for name in ("online1", "gone", "new", "ill"))
    online.sessions.see(*seen("online1"))
    offline.sessions.see(*seen("gone", available=False))
    ill.sessions.see(*seen("ill", "the valve is stuck", "no sensor"))
    rows = shown(online, offline, unknown, ill)
    assert list(rows) == ["gone", "ill", "new", "online1"]
    assert "offline" in rows["gone"]
    assert "unknown" in rows["new"]
    assert "online (2 problems)" in rows["ill"]
    assert "problem" not in rows["online1"]


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
