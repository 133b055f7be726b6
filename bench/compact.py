"""What the forms of a pack cost: bytes on the wire, and CPU at the device, the server and the controller.

`python bench/compact.py` starts a private Prosody on the loopback interface, prints the tables and writes
them to `docs/performance.md`, between its two marks there. Times are CPU times: others may use the machine.
"""

import argparse
import asyncio
import struct
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import cast
from xml.etree.ElementTree import Element, XMLPullParser

from accounts import LINK, make_accounts
from machine import load, machine, server_version, software
from page import PAGE, put_block
from report import table

from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.link import Item, Link
from iotxmpp.payloads import LEVEL, PACK_FROM, PACK_TAG, compressed, json_element, pack_text, wire_size
from iotxmpp.senml import encode_plain
from iotxmpp.senml_encode import Plain
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec
from iotxmpp.xmpp import XmppLink
from iotxmpp.xmpp.wiretext import wire_text

SIZES = (1, 2, 3, 5, 10, 20, 50, 100, 500)
DEVICE = DeviceId("greenhouse")
CHANNELS = (("temperature", "Cel"), ("humidity", "%RH"), ("pressure", "hPa"))
IN_FLIGHT = 10
NOISE = 20
"""Microseconds of an item that say nothing."""


Make = Callable[[str], Element]

HEAD = """\
## Forms of a pack

`python bench/compact.py` writes this block. A pack's JSON travels as `<json/>`, on from the server with each
quote as `&quot;`, or as `<pack/>`: base64 of a zlib stream. All bytes are those of the payload's element,
with quotes escaped.

- Machine: {machine}; its load before the run was {load}
- Software: {software}

A weather station's pack has three channels with a unit each, two decimals, and a time for each sample of
three; a meter's has one channel, read 80 times a second. CBOR is the same records as RFC 8428 section 6 has
them, compressed by zlib at level {level}; nothing here reads it, because it would need a decoder in Python
where JSON has a compiled one.
"""

COSTS = """\
The CPU of each side for an item of the weather station, in µs, as the median of {rounds} rounds that take
the forms in turn. The device: from readings to the stanza's text. The controller: from the stanza's text to
the JSON. Prosody's: all of its process, with one subscriber, over TLS, {in_flight} publishes in flight; a
difference of {noise} µs is its noise.
"""


def packed(level: int) -> Make:
    """What makes a `<pack/>` of JSON, whatever its size."""

    def make(text: str) -> Element:
        element = Element(PACK_TAG)
        element.text = b64encode(compressed(text.encode(), level)).decode()
        return element

    return make


FORMS: dict[str, Make] = {
    "json": json_element,
    **{f"zlib {level}": packed(level) for level in (1, LEVEL, 6, 9)},
}


@dataclass(kw_only=True)
class Costs:
    """CPU seconds of one item, one for each round."""

    device: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    controller: list[float] = field(default_factory=list)

    @property
    def each(self) -> tuple[float, float, float]:
        """Of the device, the server and the controller, in µs."""
        return median(self.device) * 1e6, median(self.server) * 1e6, median(self.controller) * 1e6

    @property
    def whole(self) -> float:
        """All three, in µs."""
        return sum(self.each)


def station(count: int) -> list[Plain]:
    """Readings of a weather station."""
    return [
        (*CHANNELS[n % 3], round(20 + (n * 7919 % 503) / 100, 2), 1795224000.25 + n // 3 * 10, n + 1)
        for n in range(count)
    ]


def meter(count: int) -> list[Plain]:
    """Readings of a meter."""
    return [
        ("power", "W", round(900 + (n * 7919 % 5003) / 100, 2), 1795224000.25 + n * 0.0125, n + 1)
        for n in range(count)
    ]


def cbor(readings: Sequence[Plain]) -> bytes:
    """The records as RFC 8428 section 6 has them: labels as small integers, numbers as CBOR's (RFC 8949)."""
    shared = len({reading[:2] for reading in readings}) == 1
    records = []
    for index, (channel, unit, value, at, _) in enumerate(readings):
        fields: list[bytes] = []
        if index == 0:
            fields += [b"\x21" + _text(f"{DEVICE}/{channel if shared else ''}"), b"\x22" + _float(at)]
            fields += [b"\x23" + _text(unit or "")] if shared else []
        if not shared:
            fields += [b"\x00" + _text(channel), b"\x01" + _text(unit or "")]
        fields.append(b"\x02" + _float(float(value)))
        if at != readings[0][3]:
            fields.append(b"\x06" + _float(at - readings[0][3]))
        records.append(bytes([0xA0 | len(fields)]) + b"".join(fields))
    return b"\x99" + struct.pack(">H", len(records)) + b"".join(records)


def _text(text: str) -> bytes:
    return bytes([0x78, len(text)]) + text.encode()


def _float(number: float) -> bytes:
    for mark, form in ((0xF9, ">e"), (0xFA, ">f")):
        try:
            short = struct.pack(form, number)
        except OverflowError:
            continue
        if struct.unpack(form, short)[0] == number:
            return bytes([mark]) + short
    return b"\xfb" + struct.pack(">d", number)


def stanza_of(payload: Element) -> str:
    """A notification with this payload, as it comes over the stream."""
    message = Element("{jabber:client}message", {"from": "pubsub.localhost", "type": "headline"})
    event = Element("{http://jabber.org/protocol/pubsub#event}event")
    message.append(event)
    event.append(payload)
    return wire_text(message)


def taken(work: Callable[[], object], times: int) -> float:
    """CPU seconds for one of so many runs."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def parse(stanza: str) -> str:
    """A stanza's JSON, taken from the stream by the parser that slixmpp uses."""
    parser: XMLPullParser[Element] = XMLPullParser(("end",))
    parser.feed(stanza)
    (_, payload), *_ = cast("Iterator[tuple[str, Element]]", parser.read_events())
    return pack_text(payload)


def server_seconds(pid: int) -> float:
    """The CPU time of a process with one thread that works."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


class Course:
    """A device's link and a controller's, and the node between them."""

    def __init__(self, device: Link, controller: Link, server: ServerProcess) -> None:
        self._device = device
        self._controller = controller
        self._server = server
        self._node = DeviceNodes(service=server.service, device=LINK).readings
        self._came = 0
        self._expected = 0
        self._all = asyncio.Event()

    async def open(self) -> None:
        """Subscribes."""
        await self._controller.subscribe(self._node, self._take)

    async def run(self, payload: Element, count: int) -> float:
        """Publishes the payload so often; returns the server's CPU seconds for one."""
        self._came, self._expected = 0, count
        self._all.clear()
        numbers = iter(range(1, count + 1))
        before = server_seconds(self._server.pid)

        async def publish() -> None:
            for number in numbers:
                await self._device.publish(self._node, payload, item_id=f"7f3a9c21.{number}")

        await asyncio.gather(*(publish() for _ in range(IN_FLIGHT)))
        async with asyncio.timeout(30):
            await self._all.wait()
        return (server_seconds(self._server.pid) - before) / count

    async def _take(self, _: Item) -> None:
        self._came += 1
        if self._came == self._expected:
            self._all.set()


def bytes_table() -> str:
    """Bytes a reading, by form."""
    head = ("readings an item", "pack", *FORMS, f"CBOR, zlib {LEVEL}", "")
    rows = []
    for name, make in (("station", station), ("meter", meter)):
        for count in SIZES:
            readings = make(count)
            text = encode_plain(readings, device=DEVICE)
            sizes = [wire_size(form(text)) for form in FORMS.values()]
            element = Element(PACK_TAG)
            element.text = b64encode(compressed(cbor(readings))).decode()
            cells = [f"{size / count:.1f}" for size in (*sizes, wire_size(element))]
            rows.append((str(count), name, *cells, f"{len(text):,} characters of JSON"))
    return table(head, rows)


async def costs(course: Course, rounds: int, items: int) -> dict[tuple[int, str], Costs]:
    """The CPU of each side, by size and form."""
    found = {(size, form): Costs() for size in SIZES for form in FORMS}
    for _ in range(rounds):
        for size in SIZES:
            readings = station(size)
            for form, make in FORMS.items():
                cost, times = found[size, form], max(20, 4000 // size)
                payload = make(encode_plain(readings, device=DEVICE))
                stanza = stanza_of(payload)
                cost.device.append(taken(lambda: wire(readings, make), times))  # noqa: B023  # called at once
                cost.controller.append(taken(lambda: parse(stanza), times))  # noqa: B023  # called at once
                cost.server.append(await course.run(payload, items))
    return found


def wire(readings: Sequence[Plain], make: Make) -> str:
    """From readings to the stanza's text."""
    return stanza_of(make(encode_plain(readings, device=DEVICE)))


def costs_table(found: dict[tuple[int, str], Costs]) -> str:
    """The CPU of each side, by size and form, and what a reading costs in all."""
    head = ("readings an item", "form", "device", "Prosody", "controller", "all", "all, a reading", "")
    rows = []
    for size in SIZES:
        least = min(FORMS, key=lambda form: found[size, form].whole)
        for form in FORMS:
            cost = found[size, form]
            cells = [f"{each:.0f}" for each in (*cost.each, cost.whole)]
            rows.append(
                (str(size), form, *cells, f"{cost.whole / size:.1f}", "least" if form == least else "")
            )
    return table(head, rows)


def threshold(found: dict[tuple[int, str], Costs]) -> str:
    """What a device compresses, and what it gives up by leaving the rest as it is."""
    given_up, form = [], f"zlib {LEVEL}"
    for size in SIZES:
        text = encode_plain(station(size), device=DEVICE)
        if len(text) < PACK_FROM:
            saved = wire_size(FORMS["json"](text)) - wire_size(FORMS[form](text))
            less = found[size, "json"].whole - found[size, form].whole
            time = f" and {less:.0f} µs" if less > NOISE else ""
            given_up.append(f"{saved} bytes{time} an item of {size}")
    return (
        f"A device compresses JSON of {PACK_FROM} characters and more, by level {LEVEL}. That bound is not of"
        " cost alone: what is smaller, a reading or two, stays JSON, which any client shows as it is. By"
        f" these tables the station gives up {' and '.join(given_up)} for that."
    )


async def measure(rounds: int, items: int) -> dict[tuple[int, str], Costs]:
    """Measures with a private Prosody."""
    with ExitStack() as folders:
        home = Path(folders.enter_context(tempfile.TemporaryDirectory(prefix="iotxmpp-bench-")))
        async with AsyncExitStack() as stack:
            spec = ServerSpec(kind=ServerKind.PROSODY, directory=home)
            server = await stack.enter_async_context(ServerProcess(spec))
            accounts = await make_accounts(server)
            device = await stack.enter_async_context(XmppLink(accounts.link))
            controller = await stack.enter_async_context(XmppLink(server.controller))
            course = Course(device, controller, server)
            await course.open()
            await course.run(json_element("[]"), items)  # warm
            return await costs(course, rounds, items)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description="Measure the forms of a pack; write docs/performance.md.")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    parser.add_argument("--items", type=int, default=300, help="items of each form and size in a round")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    before = load()
    found = asyncio.run(measure(options.rounds, options.items))
    versions = f"{software()}, Prosody {server_version('prosody')}".rstrip(", ")
    parts = [
        HEAD.format(machine=machine(), software=versions, load=before, level=LEVEL),
        f"Bytes of the payload a reading:\n\n{bytes_table()}",
        COSTS.format(rounds=options.rounds, in_flight=IN_FLIGHT, noise=NOISE),
        costs_table(found),
        fill(threshold(found), 110),
    ]
    page = "\n".join(parts)
    print(page)
    put_block(options.output, "bench/compact.py", page)


if __name__ == "__main__":
    main()
