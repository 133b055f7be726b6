"""`make chaos-commands`: commands that must not run twice, at full size.

    python -m tests.chaos.commands [--server prosody|ejabberd|both] [--seed N] [--commands 10000]
        [--devices 8]

Prints the seed, how far it is, and the verdict; ends with 0 if every verdict is right, else with 1. What the
processes wrote is kept where a verdict is wrong.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from iotxmpp.server import ServerKind
from tests.chaos.commands_arena import CommandArena, CommandSize
from tests.chaos.commands_judge import CommandVerdict
from tests.chaos.run import SERVERS


async def run(kind: ServerKind, size: CommandSize, seed: int, folder: Path) -> CommandVerdict:
    """One run on one server."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{kind} {time.monotonic() - began:7.1f} s  {text}", flush=True)

    async with CommandArena(kind, size, folder, seed=seed, say=say) as arena:
        say(f"seed {seed}: {size.commands} commands to {size.devices} devices; everything is in {folder}")
        verdict = await arena.run()
        blows = ", ".join(f"{what} {count}" for what, count in sorted(arena.inflicted.items()))
    say(f"inflicted: {blows}")
    say(str(verdict))
    return verdict


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", choices=SERVERS, default="both")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--commands", type=int, default=10_000)
    parser.add_argument("--devices", type=int, default=8)
    arguments = parser.parse_args()
    right = True
    for kind in SERVERS[arguments.server]:
        folder = Path(tempfile.mkdtemp(prefix=f"iotxmpp-commands-{kind}-"))
        folder.chmod(0o711)
        size = CommandSize(commands=arguments.commands, devices=arguments.devices)
        verdict = asyncio.run(run(kind, size, arguments.seed, folder))
        if verdict.faults:
            right = False
            print(f"what the processes wrote is kept in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
