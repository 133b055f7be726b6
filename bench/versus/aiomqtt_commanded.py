"""The commanded device as a user of aiomqtt writes it: MQTT 5 request and response, QoS 1."""

import asyncio
from typing import Any

from orders import Orders

from versus.commands_model import Water, Watered
from versus.mqtt_clients import client
from versus.obeying import obey


async def serve(mqtt: Any) -> None:  # noqa: ANN401  # a client of aiomqtt, whose properties have no types
    """Answers request after request."""
    async for message in mqtt.messages:
        asked = Water.model_validate_json(message.payload)
        answer = Watered(text=f"watered {asked.zone} for {asked.seconds} s")
        reply = type(message.properties)(message.properties.packetType)
        reply.CorrelationData = message.properties.CorrelationData
        await mqtt.publish(
            message.properties.ResponseTopic, answer.model_dump_json(), qos=1, properties=reply
        )


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity = await orders.identity()
    async with client(identity, "commanded") as mqtt:
        await mqtt.subscribe("commands/commanded/water", qos=1)
        serving = asyncio.create_task(serve(mqtt))
        orders.ready("commanded")
        await obey(orders, {})
        serving.cancel()


if __name__ == "__main__":
    asyncio.run(main())
