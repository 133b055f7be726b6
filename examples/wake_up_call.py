"""A controller that leaves a command for a device that sleeps; it is sent when the device is awake."""

import asyncio

from iotxmpp import Controller
from iotxmpp.errors import CommandError


async def main() -> None:
    async with Controller("house@example.org") as controller:
        probe = await controller.wait_for("probe", state="sleeping", timeout=None)
        ticket = await probe.queue("calibrate", {"celsius": 20.5}, ttl="6h")  # kept, should this program end
        print(f"{probe.id} is {probe.state}, the command is {ticket.state}")
        try:
            print(await ticket.result())
        except CommandError as error:  # refused, failed, cancelled, or not started within six hours
            print(f"it was not done: {error}")


asyncio.run(main())
