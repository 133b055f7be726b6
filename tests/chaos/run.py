"""`make chaos`: the whole harness, at full size.

    python -m tests.chaos.run [--server prosody|ejabberd|both] [--seed N] [--devices 20] [--readings 1000000]
        [--kills 100] [--partitions 20] [--away 10] [--store sqlite|postgresql] [--scale full|short]

Prints the seed, each fault as it comes, and the verdict; ends with 0 if every verdict is right, else with 1.
What the processes wrote is kept where a verdict is wrong.
"""

import argparse
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from iotxmpp.server import ServerKind
from tests.chaos.faults import FULL, KILLS, PARTITIONS, SHORT, Kind, draw, expected_seconds
from tests.chaos.harness import Arena, Size
from tests.chaos.oracle import Verdict
from tests.chaos.runs import Say, new_parser, run_each


def size_of(arguments: argparse.Namespace) -> Size:
    """The size that the arguments ask for; readings come as long as faults do."""
    full = arguments.scale == "full"
    faults = dict.fromkeys(KILLS, arguments.kills) | dict.fromkeys(PARTITIONS, arguments.partitions)
    faults[Kind.CONTROLLER_AWAY] = arguments.away
    size = Size(
        devices=arguments.devices,
        readings=arguments.readings // arguments.devices,
        rate=1.0,
        faults=faults,
        scale=FULL if full else SHORT,
        lanes=4,
        quick=not full,
        resume=None if full else 1,
        settle=900.0 if full else 120.0,
    )
    names = [f"d{index}" for index in range(1, size.devices + 1)]
    seconds = expected_seconds(draw(arguments.seed, faults, names, size.scale), size.lanes)
    return replace(size, rate=max(1.0, size.readings / max(seconds, 1.0)))


async def run(arguments: argparse.Namespace, kind: ServerKind, folder: Path, say: Say) -> Verdict:
    """One run on one server."""
    size = size_of(arguments)
    async with (
        _store(arguments.store, folder) as store,
        Arena(kind, size, folder, store=store, say=say) as arena,
    ):
        say(
            f"seed {arguments.seed}: {size.devices} devices, {size.readings} readings each, "
            f"{size.rate:.0f} a second; everything is in {folder}"
        )
        return await arena.run(arguments.seed)


@contextlib.asynccontextmanager
async def _store(kind: str, folder: Path) -> AsyncIterator[str | None]:
    if kind == "sqlite":
        yield None
        return
    from tests.postgres import PostgresServer

    place = folder / "postgresql"
    place.mkdir()
    server = PostgresServer(place)
    server.start()
    try:
        yield server.database()
    finally:
        server.stop()


def main() -> None:
    """Runs it."""
    parser = new_parser()
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--readings", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=20)
    parser.add_argument("--away", type=int, default=10)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--scale", choices=["full", "short"], default="full")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    run_each("chaos", arguments.server, partial(run, arguments))


if __name__ == "__main__":
    main()
