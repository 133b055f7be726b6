"""A process that carries out one call, and may be killed: `python -m tests.unit.serving_child FOLDER`.

Each run of the command adds a line to FOLDER/ran; how the call ended goes to standard output.
"""

import asyncio
import sys
from pathlib import Path

from iotxmpp.serving.filejournal import SqliteJournal
from tests.unit.serving_world import World


async def main(folder: Path) -> None:
    def act() -> str:
        with (folder / "ran").open("a") as ran:
            ran.write("acted\n")
        return "acted"

    world = World(act, journal=SqliteJournal(folder / "calls.db"))
    await world.executor.open()
    sys.stdout.write(f"{(await world.execute('act')).kind}\n")
    await world.executor.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
