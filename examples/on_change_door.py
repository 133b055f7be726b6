"""A door whose contact calls back from a thread of its own, as gpiozero's Button does."""

import asyncio
import threading
import time
from collections.abc import Callable

from iotxmpp import Agent

agent = Agent("door@example.org")
agent.channel("open", type="bool", description="Whether the door is open")


class Contact:
    """Stands for the hardware. With gpiozero: `Button(17)`, its `when_released` and `when_pressed`."""

    is_open = False

    def watch(self, changed: Callable[[bool], None]) -> None:
        """Calls back at each change."""
        threading.Thread(target=self._swing, args=(changed,), daemon=True).start()

    def _swing(self, changed: Callable[[bool], None]) -> None:
        while True:
            time.sleep(0.5)
            self.is_open = not self.is_open
            changed(self.is_open)


async def main() -> None:
    contact = Contact()
    async with agent:
        await agent.publish("open", contact.is_open)  # no event tells how the door is at the start
        contact.watch(lambda is_open: agent.publish_soon("open", is_open))
        await asyncio.Event().wait()


asyncio.run(main())
