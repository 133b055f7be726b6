"""An agent with an outbox on disk, its server and its collector, in one process that may be killed.

`python -m tests.unit.outbox_child FOLDER FIRST COUNT`: publishes the numbers from FIRST on. What `publish`
promised goes to FOLDER/promised, what the collector got to FOLDER/received, a line each.
"""

import asyncio
import sys
from pathlib import Path
from unittest.mock import patch

import iotxmpp.agent.agent
from iotxmpp.agent.outbox import keeper, taking
from iotxmpp.intervals import Intervals
from iotxmpp.link import Item
from tests.unit.agent_house import open_house, readings_in, until


async def main(folder: Path, first: int, count: int) -> None:
    keeper.TRIM_EVERY = 0.02
    taking.COMMIT_EVERY = 0.01  # so that acks do not spare it every commit
    taking.SPARED = 0.0
    promised, received = (folder / "promised").open("a"), (folder / "received").open("a")
    async with open_house() as house:
        setattr(iotxmpp.agent.agent, "open_link", house.server.link)  # noqa: B010  # the module does not export it
        take = house.take_item

        async def note(item: Item) -> None:
            for reading in readings_in(item):
                print(reading.epoch, reading.seq, reading.value, file=received, flush=True)
            await take(item)

        for line in (folder / "received").read_text().splitlines():
            epoch, seq, _ = line.split()
            house.have.setdefault(epoch, Intervals()).add(int(seq), int(seq))
        with patch.object(house, "take_item", note):
            await house.watch()
        agent = house.agent(outbox=folder / "outbox.db")
        agent.channel("level", type="int")

        async def publish(value: int) -> None:
            await agent.publish("level", value)
            print(value, file=promised, flush=True)

        async with agent:
            for start in range(first, first + count, 5):
                await asyncio.gather(*(publish(value) for value in range(start, start + 5)))
                await asyncio.sleep(0.03)
            await until(lambda: agent.status.buffered == 0, 10)
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
