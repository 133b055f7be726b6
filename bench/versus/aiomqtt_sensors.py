"""The same device as a user of aiomqtt writes it: readings wait in SQLite until the broker has them."""

import asyncio
import json
import random
import sqlite3
import time
from typing import Any

import aiomqtt
from orders import Orders

from versus.mqtt_clients import client
from versus.obeying import obey

SENSORS = {
    "temperature": "Cel",
    "humidity": "%RH",
    "pressure": "Pa",
    "light": "lx",
    "voltage": "V",
}
BATCH = 100


def open_outbox(path: str) -> sqlite3.Connection:
    """The outbox; a row waits until its message is acknowledged."""
    outbox = sqlite3.connect(path, isolation_level=None)
    outbox.execute("PRAGMA journal_mode=WAL")
    outbox.execute("PRAGMA synchronous=FULL")
    outbox.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, payload TEXT NOT NULL)")
    return outbox


async def sample(outbox: sqlite3.Connection, device: str, channel: str, waiting: asyncio.Event) -> None:
    """Reads one sensor, once a second."""
    while True:
        value = round(random.uniform(20, 30), 2)  # noqa: S311  # a sensor's noise
        reading = {
            "device": device,
            "channel": channel,
            "value": value,
            "unit": SENSORS[channel],
            "time": round(time.time(), 3),
        }
        outbox.execute("INSERT INTO outbox (payload) VALUES (?)", (json.dumps(reading),))
        waiting.set()
        await asyncio.sleep(1)


async def send(outbox: sqlite3.Connection, mqtt: aiomqtt.Client, device: str, waiting: asyncio.Event) -> None:
    """Publishes what waits, and deletes it when it is acknowledged."""
    while True:
        await waiting.wait()
        waiting.clear()
        while rows := outbox.execute(
            "SELECT id, payload FROM outbox ORDER BY id LIMIT ?", (BATCH,)
        ).fetchall():
            for number, payload in rows:
                await mqtt.publish(f"readings/{device}", payload, qos=1)
                outbox.execute("DELETE FROM outbox WHERE id = ?", (number,))


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    identity: dict[str, Any] = await orders.identity()
    device, outbox, waiting = identity["device"], open_outbox(identity["outbox"]), asyncio.Event()
    async with client(identity, device) as mqtt:
        tasks = [asyncio.create_task(sample(outbox, device, channel, waiting)) for channel in SENSORS]
        tasks.append(asyncio.create_task(send(outbox, mqtt, device, waiting)))
        if identity["commands"]:
            from versus.aiomqtt_commanded import serve  # noqa: PLC0415  # pydantic only where it is used

            await mqtt.subscribe(f"commands/{device}/water", qos=1)
            tasks.append(asyncio.create_task(serve(mqtt)))
        orders.ready(device)
        await obey(orders, {})
        for task in tasks:
            task.cancel()
    outbox.close()


if __name__ == "__main__":
    asyncio.run(main())
