"""Items a second through our link, against the limit of the same server."""

import json
from dataclasses import dataclass
from statistics import median

from report import table

from versus.goals import Goal, Outcome
from versus.processes import ask
from versus.processor import busy_seconds
from versus.sides import plain_pair
from versus.stage import Stage

LEAST = 0.8

TEXT = """\
Items of one JSON reading each, {window} under way at once, from one session to another; {repetitions} rounds
of {items:,} items in turn; medians. The limit is a program that writes stanzas as bytes into its TLS socket
and counts `<item ` in what comes, with no parser and no objects; Prosody uses one core. Once more it does
so with stream management (XEP-0198), as our link always has it: what it asks and answers is the same. Ours
are `link.publish` and a handler of `link.subscribe`. Processor time is for each item.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    repetitions: int = 15
    items: int = 15_000
    window: int = 100
    warm_up: int = 500


QUICK = Sizes(repetitions=1, items=6_000)
TINY = Sizes(repetitions=1, items=200, window=20, warm_up=50)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One round: items a second, and µs of processor time an item."""

    rate: float
    device: float
    consumer: float
    server: float


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures all in turn."""
    found: dict[str, list[Found]] = {"socket": [], "managed": [], "link": []}
    for number in range(sizes.repetitions):
        for side in found if number % 2 == 0 else reversed(found):
            found[side].append(await _round(stage, side, sizes))
    limit, ours = (median(each.rate for each in found[side]) for side in ("socket", "link"))
    goal = Goal(
        name="items a second through the link, against raw sockets with the same Prosody",
        value=ours / limit,
        unit="times",
        bound=LEAST,
        least=True,
        basis=f"{ours:,.0f}/s, {limit:,.0f}/s",
    )
    names = {
        "socket": "raw sockets: the limit",
        "managed": "raw sockets with stream management",
        "link": "iotxmpp's link",
    }
    rows = [
        (
            names[side],
            f"{median(each.rate for each in rounds):,.0f}",
            f"{min(each.rate for each in rounds):,.0f} to {max(each.rate for each in rounds):,.0f}",
            *(
                f"{median(getattr(each, what) for each in rounds):.0f} µs"
                for what in ("device", "server", "consumer")
            ),
        )
        for side, rounds in found.items()
    ]
    text = TEXT.format(window=sizes.window, repetitions=sizes.repetitions, items=sizes.items)
    head = ("", "items a second", "rounds", "publisher's CPU", "Prosody's CPU", "subscriber's CPU")
    return Outcome(goals=[goal], text=f"{text}\n{table(head, rows)}", figures={})


async def _round(stage: Stage, side: str, sizes: Sizes) -> Found:
    async with plain_pair(stage, side) as pair:
        await ask(pair.device, "items", items=sizes.warm_up, window=sizes.window)
        await ask(pair.consumer, "arrived", items=sizes.warm_up)
        before = [(await ask(end, "cpu"))["cpu"] for end in (pair.device, pair.consumer)]
        before.append(busy_seconds(stage.server.pid))
        pair.device.order({"do": "items", "items": sizes.items, "window": sizes.window})
        arrived = await ask(pair.consumer, "arrived", items=sizes.warm_up + sizes.items)
        begun = json.loads(await pair.device.answer())["begun"]
        after = [(await ask(end, "cpu"))["cpu"] for end in (pair.device, pair.consumer)]
        after.append(busy_seconds(stage.server.pid))
    if arrived["items"] != sizes.warm_up + sizes.items:
        raise RuntimeError(f"{arrived['items']} items came, {sizes.warm_up + sizes.items} were published")
    device, consumer, server = (
        (late - early) / sizes.items * 1e6 for early, late in zip(before, after, strict=True)
    )
    rate = sizes.items / (arrived["arrived"] - begun)
    return Found(rate=rate, device=device, consumer=consumer, server=server)
