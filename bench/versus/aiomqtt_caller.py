"""The caller as a user of aiomqtt writes it: a topic each for requests and answers, and correlation data."""

import asyncio
import itertools
import time
from typing import Any

from orders import Orders
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from versus.commands_model import Water, Watered
from versus.mqtt_clients import client
from versus.obeying import Order, obey

REPLIES = "replies/caller"


class Caller:
    """Calls, and waits for the answer."""

    def __init__(self, mqtt: Any) -> None:  # noqa: ANN401  # a client of aiomqtt, whose properties have no types
        self._mqtt = mqtt
        self._numbers = itertools.count()
        self._waiting: dict[bytes, asyncio.Future[Watered]] = {}

    async def listen(self) -> None:
        """Takes answer after answer."""
        async for message in self._mqtt.messages:
            waiting = self._waiting.pop(message.properties.CorrelationData, None)
            if waiting is not None:
                waiting.set_result(Watered.model_validate_json(message.payload))

    async def call(self, asked: Water) -> str:
        """The answer to one request."""
        correlation = str(next(self._numbers)).encode()
        waiting = self._waiting[correlation] = asyncio.get_running_loop().create_future()
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own
        properties.ResponseTopic = REPLIES
        properties.CorrelationData = correlation
        await self._mqtt.publish(
            "commands/commanded/water", asked.model_dump_json(), qos=1, properties=properties
        )
        async with asyncio.timeout(10):
            answer: Watered = await waiting
        return answer.text


async def main() -> None:
    """Plays the caller."""
    orders = await Orders.open()
    identity = await orders.identity()
    async with client(identity, "caller") as mqtt:
        caller = Caller(mqtt)
        await mqtt.subscribe(REPLIES, qos=1)
        listening = asyncio.create_task(caller.listen())

        async def call(order: Order) -> dict[str, int]:
            begun = time.monotonic_ns()
            answer = await caller.call(Water(seconds=order["seconds"], zone="north"))
            took = time.monotonic_ns() - begun
            if answer != f"watered north for {order['seconds']} s":
                raise RuntimeError(answer)
            return {"took": took}

        orders.ready("caller")
        await obey(orders, {"call": call})
        listening.cancel()


if __name__ == "__main__":
    asyncio.run(main())
