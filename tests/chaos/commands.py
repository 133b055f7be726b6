"""`make chaos-commands`: commands that must not run twice, at full size.

    python -m tests.chaos.commands [--server prosody|ejabberd|both] [--seed N] [--commands 10000]
        [--devices 8]

Prints the seed, how far it is, and the verdict; ends with 0 if every verdict is right, else with 1. What the
processes wrote is kept where a verdict is wrong.
"""

from functools import partial
from pathlib import Path

from iotxmpp.server import ServerKind
from tests.chaos.commands_arena import CommandArena, CommandSize
from tests.chaos.commands_judge import CommandVerdict
from tests.chaos.runs import Say, new_parser, run_each


async def run(size: CommandSize, seed: int, kind: ServerKind, folder: Path, say: Say) -> CommandVerdict:
    """One run on one server."""
    async with CommandArena(kind, size, folder, seed=seed, say=say) as arena:
        say(f"seed {seed}: {size.commands} commands to {size.devices} devices; everything is in {folder}")
        verdict = await arena.run()
        blows = ", ".join(f"{what} {count}" for what, count in sorted(arena.inflicted.items()))
    say(f"inflicted: {blows}")
    return verdict


def main() -> None:
    """Runs it."""
    parser = new_parser()
    parser.add_argument("--commands", type=int, default=10_000)
    parser.add_argument("--devices", type=int, default=8)
    arguments = parser.parse_args()
    size = CommandSize(commands=arguments.commands, devices=arguments.devices)
    run_each("commands", arguments.server, partial(run, size, arguments.seed))


if __name__ == "__main__":
    main()
