"""A played device that publishes numbers and hears what is acknowledged."""

import time
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from iotxmpp.controller import Controller
from iotxmpp.delivery import ACK_TAG, Ack, parse_ack
from iotxmpp.errors import stanza_error
from iotxmpp.link import Request
from iotxmpp.readings import Reading
from tests.unit.controller_world import PlayedDevice, pack


@dataclass
class Heard:
    """What a played device was told."""

    acks: list[Ack] = field(default_factory=list)
    refuse: str = ""

    def serve(self, device: PlayedDevice) -> "Heard":
        device.link.serve(ACK_TAG, self._take)
        return self

    async def _take(self, request: Request) -> Element | None:
        assert request.kind == "set"
        self.acks.append(parse_ack(request.payload))
        if self.refuse:
            raise stanza_error(self.refuse, "as the test wants")
        return None

    @property
    def upto(self) -> dict[str, int]:
        """What is acknowledged by now."""
        return {epoch: seq for ack in self.acks for epoch, seq in ack.upto.items()}

    @property
    def again(self) -> int:
        return sum(ack.again for ack in self.acks)


def run(first: int, last: int, *, age: float = 0.0) -> Element:
    """A pack of these numbers, each with its number for a value, a millisecond apart."""
    records: list[dict[str, object]] = [
        {"n": "count", "v": seq, "t": seq / 1000} for seq in range(first, last + 1)
    ]
    return pack("hall", *records, at=time.time() - 1 - age)


async def send(device: PlayedDevice, first: int, last: int, *, epoch: str = "e1", age: float = 0.0) -> None:
    await device.publish(run(first, last, age=age), item_id=f"{epoch}.{first}")


def counting(controller: Controller, *, historical: bool = False) -> list[int]:
    seen: list[int] = []

    @controller.on_reading("count", historical=historical)
    async def take(reading: Reading) -> None:
        assert reading.received is not None
        seen.append(int(reading.value))

    return seen
