"""What delivery costs: readings a second from `publish` into the store, the outbox on and off; and bytes.

`python bench/delivery.py` starts a private Prosody on the loopback interface, prints the section `Delivery`,
and writes it into `docs/performance.md`.
"""

import argparse
import asyncio
import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from accounts import Accounts, make_accounts
from delivery_ends import End, StoreWatch, end
from delivery_report import Results, Rounds, markdown
from disk import file_system, written
from machine import load
from page import PAGE, put_block

from iotxmpp.agent.outbox.batch import ENOUGH, SINGLES, SINGLES_A_SECOND
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec

WARM_UP = 500
RATE = 100
FEW = {1: 1_000, 10: 10_000, 50: 40_000}
"""Readings of a round by its number of tasks."""

MODES = ("on", "off")


def main() -> None:
    """Measures, prints and writes."""
    options = _options()
    section = f"## Delivery\n\n{markdown(asyncio.run(_measure(options)))}"
    print(section)
    put_block(options.output, "bench/delivery.py", section)


async def _measure(options: argparse.Namespace) -> Results:
    async with AsyncExitStack() as stack:
        # Two folders: the server's own may be another user's.
        home, folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iotxmpp-bench-", dir=parent)))
            for parent in (None, options.folder)
        )
        results = Results(
            file_system=file_system(folder),
            load=load(),
            rounds=Rounds(tasks=options.tasks, readings=options.readings),
            few=[Rounds(tasks=each, readings=min(FEW[each], options.readings)) for each in options.few],
            warm_up=WARM_UP,
            rate=RATE,
            seconds=options.seconds,
            limits={"enough": ENOUGH, "singles": SINGLES, "singles_a_second": SINGLES_A_SECOND},
        )
        spec = ServerSpec(kind=ServerKind.PROSODY, directory=home)
        server = await stack.enter_async_context(ServerProcess(spec))
        accounts = await make_accounts(server)
        await _throughput(server, accounts, folder / "rounds", results.rounds, options.rounds)
        for each in results.few:
            await _throughput(server, accounts, folder / f"few-{each.tasks}", each, options.few_rounds)
        results.bytes = await _written(server, accounts, folder / "steady", options.seconds)
        return results


async def _throughput(
    server: ServerProcess, accounts: Accounts, folder: Path, rounds: Rounds, count: int
) -> None:
    path = folder / "controller.db"
    watch = StoreWatch(path)
    async with end("delivery_controller.py", server.controller, store=f"sqlite:///{path}"):
        for number in range(count):
            for mode in MODES if number % 2 == 0 else reversed(MODES):
                outbox = str(folder / f"{number}.db") if mode == "on" else "memory"
                async with end("delivery_device.py", accounts.agent, outbox=outbox) as device:
                    rate = await _round(device, watch, rounds, "disk" if mode == "on" else "memory")
                (rounds.on if mode == "on" else rounds.off).append(rate)


async def _round(device: End, watch: StoreWatch, rounds: Rounds, kept: str) -> float:
    """Readings a second of one round."""
    run = len(watch.runs())
    await _warm_up(device, watch, run, kept)
    device.order({"readings": rounds.readings, "tasks": rounds.tasks, "last": True})
    committed = await watch.committed(WARM_UP + rounds.readings, run=run)
    begun = await _begun(device, kept)
    await device.answer()
    return rounds.readings / (committed - begun)


async def _written(
    server: ServerProcess, accounts: Accounts, folder: Path, seconds: float
) -> dict[str, float]:
    """Bytes written for each reading, by process, while readings come steadily."""
    path = folder / "controller.db"
    watch, readings = StoreWatch(path), round(RATE * seconds)
    async with (
        end("delivery_controller.py", server.controller, store=f"sqlite:///{path}") as controller,
        end("delivery_device.py", accounts.agent, outbox=str(folder / "outbox.db")) as device,
    ):
        await _warm_up(device, watch, 0, "disk")
        ends = {"the agent": device, "the controller": controller}
        before = {name: written(each.pid) for name, each in ends.items()}
        device.order({"readings": readings, "rate": RATE, "last": True})
        await watch.committed(WARM_UP + readings, run=0)
        await _begun(device, "disk")
        await device.answer()
        controller.order({})
        await controller.answer()
        return {name: (written(each.pid) - before[name]) / readings for name, each in ends.items()}


async def _warm_up(device: End, watch: StoreWatch, run: int, kept: str) -> None:
    device.order({"readings": WARM_UP, "tasks": WARM_UP})
    await watch.committed(WARM_UP, run=run)
    await _begun(device, kept)


async def _begun(device: End, kept: str) -> float:
    """When the device began; it answers when nothing waits any more.

    Raises:
        RuntimeError: It kept its readings elsewhere, or dropped some.
    """
    answer = json.loads(await device.answer())
    if (answer["outbox"], answer["dropped"]) != (kept, 0):
        raise RuntimeError(f"no fair round: {answer}, expected {kept}")
    return float(answer["begun"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure delivery; write its section of docs/performance.md."
    )
    parser.add_argument("--rounds", type=int, default=6, help="rounds of each mode")
    parser.add_argument("--readings", type=int, default=40_000, help="readings of a round at most")
    parser.add_argument("--tasks", type=int, default=200, help="tasks that publish")
    parser.add_argument(
        "--few", type=int, nargs="*", choices=FEW, default=list(FEW), help="fewer tasks, measured besides"
    )
    parser.add_argument("--few-rounds", type=int, default=3, help="rounds of each mode with fewer tasks")
    parser.add_argument("--seconds", type=float, default=60, help="how long readings come steadily")
    parser.add_argument("--folder", type=Path, default=None, help="a folder on the disk to be measured")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write into")
    return parser.parse_args()


if __name__ == "__main__":
    main()
