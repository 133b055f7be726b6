"""Bytes on the wire for a reading, as TLS sends them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from report import table

from versus.goals import Goal, Outcome
from versus.part_batches import AHEAD, PACK
from versus.processes import ask
from versus.relay import relay
from versus.rounds import WARM_UP
from versus.sides import mqtt_pair, our_pair
from versus.stage import Stage
from versus.turns import AIOMQTT, OURS

MOST = 0.25

TEXT = """\
The bytes of a connection through a relay that counts them, both ways, from after a warm-up until all of
{readings:,} readings are committed and acknowledged; without the headers of TCP and IP, which favours many
small messages. The goal compares the device's connection, ours in packs of {pack}, with one JSON reading a
message over MQTT.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    readings: int = 10_000


QUICK = Sizes(readings=5_000)
TINY = Sizes(readings=500)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """Bytes for each reading, both ways."""

    device: float
    consumer: float


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures each form once: bytes vary little."""
    singles = {"do": "singles", "tasks": 200}
    batches = {"do": "batches", "size": PACK, "tasks": 20}
    stream = {"do": "stream", "ahead": AHEAD}
    forms: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
        (f"{OURS}, packs of {PACK}", our_pair, {"pack": PACK}, stream),
        (f"{OURS}, packs not bounded", our_pair, {}, stream),
        (f"{AIOMQTT}, a reading a message", mqtt_pair, {"inflight": 0}, singles),
        (f"{AIOMQTT}, arrays of {PACK}", mqtt_pair, {"inflight": 0}, batches),
    ]
    found = [await _form(stage, start, device, order, sizes.readings) for _, start, device, order in forms]
    ours, peer, arrays = found[0].device, found[2].device, found[3].device
    goal = Goal(
        name="bytes on the wire a reading, batched, against JSON over MQTT",
        value=ours / peer,
        unit="times",
        bound=MOST,
        least=False,
        basis=f"{ours:.1f} B, {peer:.1f} B; against arrays of {PACK}: {ours / arrays:.2f} times",
    )
    rows = [
        (name, f"{wire.device:.1f}", f"{wire.consumer:.1f}", f"{wire.device / peer:.2f}", "")
        for (name, *_), wire in zip(forms, found, strict=True)
    ]
    head = ("bytes a reading", "device's connection", "consumer's", "ratio to a reading a message", "")
    text = TEXT.format(readings=sizes.readings, pack=PACK)
    return Outcome(goals=[goal], text=f"{text}\n{table(head, rows)}", figures={})


async def _form(
    stage: Stage,
    start: Any,  # noqa: ANN401  # `our_pair` or `mqtt_pair`, whose other arguments differ
    device: dict[str, Any],
    order: dict[str, Any],
    readings: int,
) -> Wire:
    port = stage.server.port if start is our_pair else stage.mosquitto.port
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(relay(port)) for _ in range(2)]
        pair = await stack.enter_async_context(start(stage, ports=(relays[0].port, relays[1].port), **device))
        await ask(pair.device, **{**order, "readings": WARM_UP})
        await pair.watch.committed(WARM_UP)
        before = [each.up + each.down for each in relays]
        await ask(pair.device, **{**order, "readings": readings})
        await pair.watch.committed(WARM_UP + readings)
        after = [each.up + each.down for each in relays]
    bytes_each = [(late - early) / readings for early, late in zip(before, after, strict=True)]
    return Wire(device=bytes_each[0], consumer=bytes_each[1])
