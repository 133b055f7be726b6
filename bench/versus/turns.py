"""Sides that take turns at one busy device, and the table of what they reached."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from report import table

from versus.rounds import Round, one_round
from versus.sides import Pair
from versus.stage import Stage

OURS = "iotxmpp"
AIOMQTT = "aiomqtt + Mosquitto"
PAHO = "paho-mqtt + Mosquitto"
SLIXMPP = "plain slixmpp + Prosody"
CALLS = 200
"""Calls at once of aiomqtt, and no bound of messages in flight: of the settings that were tried, its best."""

FLEET_CALLS = 20
"""Likewise of each client among many: it looks through all calls that wait at each of them."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side, and its rounds.

    Attributes:
        name: For people.
        start: Starts a consumer and a device.
        order: What the device is told to do.
        readings: Readings of a round.
        rounds: What was measured.
    """

    name: str
    start: Callable[[Stage], AbstractAsyncContextManager[Pair]]
    order: dict[str, Any]
    readings: int
    rounds: list[Round] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of its readings a second."""
        return median(each.rate for each in self.rounds)

    @property
    def consumer(self) -> float:
        """The median of its consumer's processor time a reading, in µs."""
        return median(each.consumer for each in self.rounds)


async def take_turns(stage: Stage, sides: Sequence[Side], repetitions: int) -> None:
    """Each side once a repetition, in an order that turns round."""
    for number in range(repetitions):
        for side in sides if number % 2 == 0 else reversed(sides):
            async with side.start(stage) as pair:
                side.rounds.append(await one_round(pair, side.readings, side.order))


def rates(sides: Iterable[Side], base: Side) -> str:
    """The table of all sides, each in times of one of them."""
    rows = [
        (
            side.name,
            f"{median(each.together for each in side.rounds):,.4g}",
            f"{side.rate:,.0f}",
            f"{min(each.rate for each in side.rounds):,.0f} to {max(each.rate for each in side.rounds):,.0f}",
            f"{side.rate / base.rate:.2f}",
            *(
                f"{median(getattr(each, end) for each in side.rounds):.1f} µs"
                for end in ("device", "server", "consumer")
            ),
        )
        for side in sides
    ]
    head = (
        "",
        "readings a message",
        "readings a second",
        "rounds",
        f"ratio to {base.name}",
        "device's CPU",
        "server's CPU",
        "consumer's CPU",
    )
    return table(head, rows)
