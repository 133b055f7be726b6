"""What delivery costs: readings a second from `publish` into the controller's store, with the outbox on and off,
and the bytes that each writes to disk for a reading.

`python bench/delivery.py` starts a private Prosody on the loopback interface, prints the section `Delivery` and
writes it into `docs/performance.md`.
"""

import argparse
import asyncio
import json
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from accounts import Accounts, make_accounts
from delivery_ends import End, StoreWatch, end
from disk import file_system, written
from machine import load, machine
from page import PAGE, put_section
from report import table

from iotxmpp.server import ServerKind, ServerProcess, ServerSpec

HEADING = "Delivery"
WARM_UP = 500
RATE = 100
MODES = ("on", "off")

TEXT = """\
`python bench/delivery.py` writes this section. Over Prosody on the loopback interface, with the agent and the
controller in processes of their own; the controller stores in SQLite; all files are on {file_system}. Machine:
{machine}; its load before the run was {load}.

A round is a new agent that publishes {readings} readings from {tasks} tasks, each of which waits for one
`await agent.publish(…)` before the next. Its time runs from the first call until the last reading is committed
in the controller's store, which is looked at from outside; then the readings there are counted. The outbox is
on (its file) and off (`outbox="memory"`, the same in every other way) in turn, the first of the two by turns,
after {warm_up} readings that are not timed.

"""

BYTES = """\

Then an agent publishes {rate} readings a second for {seconds:g} s, and ends. The bytes are `write_bytes` of
`/proc/<pid>/io`, from the warm-up to after the end, so that trimming and the last checkpoint are counted.

"""


@dataclass(kw_only=True)
class Results:
    """What one run of the bench measured.

    Attributes:
        rates: Readings a second of each round, by mode.
        bytes: Bytes written for a reading, by process.
    """

    rates: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    bytes: dict[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """What is left of the throughput with the outbox on, by round."""
        return [on / off for on, off in zip(self.rates["on"], self.rates["off"], strict=True)]


def main() -> None:
    """Measures, prints and writes."""
    options = _options()
    section = asyncio.run(_measure(options))
    print(section)
    put_section(options.output, HEADING, section)


async def _measure(options: argparse.Namespace) -> str:
    before, results = load(), Results()
    async with AsyncExitStack() as stack:
        # Two folders: the server's own may be another user's.
        home, folder = (
            Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="iotxmpp-bench-", dir=options.folder))
            )
            for _ in range(2)
        )
        spec = ServerSpec(kind=ServerKind.PROSODY, directory=home)
        server = await stack.enter_async_context(ServerProcess(spec))
        accounts = await make_accounts(server)
        await _throughput(server, accounts, folder / "rounds", options, results)
        await _written(server, accounts, folder / "steady", options, results)
        return _section(options, results, before, file_system(folder))


async def _throughput(
    server: ServerProcess, accounts: Accounts, folder: Path, options: argparse.Namespace, results: Results
) -> None:
    path = folder / "controller.db"
    watch = StoreWatch(path)
    async with end("delivery_controller.py", server.controller, store=f"sqlite:///{path}"):
        for number in range(options.rounds):
            for mode in MODES if number % 2 == 0 else reversed(MODES):
                outbox = str(folder / f"{number}.db") if mode == "on" else "memory"
                async with end("delivery_device.py", accounts.agent, outbox=outbox) as device:
                    run = len(watch.runs())
                    await _publish(device, watch, run, WARM_UP, tasks=options.tasks)
                    total = WARM_UP + options.readings
                    device.order({"readings": options.readings, "tasks": options.tasks, "last": True})
                    committed = await watch.committed(total, run=run)
                    begun = await _begun(device, mode)
                    results.rates[mode].append(options.readings / (committed - begun))
                    await device.answer()


async def _written(
    server: ServerProcess, accounts: Accounts, folder: Path, options: argparse.Namespace, results: Results
) -> None:
    path = folder / "controller.db"
    watch = StoreWatch(path)
    readings = round(RATE * options.seconds)
    async with (
        end("delivery_controller.py", server.controller, store=f"sqlite:///{path}") as controller,
        end("delivery_device.py", accounts.agent, outbox=str(folder / "outbox.db")) as device,
    ):
        await _publish(device, watch, 0, WARM_UP, tasks=options.tasks)
        ends = {"the agent": device, "the controller": controller}
        before = {name: written(each.pid) for name, each in ends.items()}
        device.order({"readings": readings, "rate": RATE, "last": True})
        await watch.committed(WARM_UP + readings, run=0)
        await _begun(device, "on")
        await device.answer()
        controller.order({})
        await controller.answer()
        results.bytes = {name: (written(each.pid) - before[name]) / readings for name, each in ends.items()}


async def _publish(device: End, watch: StoreWatch, run: int, readings: int, *, tasks: int) -> None:
    device.order({"readings": readings, "tasks": tasks})
    await watch.committed(readings, run=run)
    await device.answer()


async def _begun(device: End, mode: str) -> float:
    """When the device began, once it holds nothing any more."""
    answer = json.loads(await device.answer())
    expected = "disk" if mode == "on" else "memory"
    if (answer["outbox"], answer["dropped"]) != (expected, 0):
        raise RuntimeError(f"no fair round: {answer}, expected {expected}")
    return float(answer["begun"])


def _section(options: argparse.Namespace, results: Results, load_before: str, file_system: str) -> str:
    text = TEXT.format(
        file_system=file_system,
        machine=machine(),
        load=load_before,
        readings=f"{options.readings:,}",
        tasks=options.tasks,
        warm_up=WARM_UP,
    )
    on, off, ratios = results.rates["on"], results.rates["off"], results.ratios
    rounds = [
        (f"round {number}", f"{on[number - 1]:,.0f}", f"{off[number - 1]:,.0f}", f"{ratio:.2f}", "")
        for number, ratio in enumerate(ratios, 1)
    ]
    sums = [
        (name, f"{of(on):,.0f}", f"{of(off):,.0f}", f"{of(ratios):.2f}", goal)
        for name, of, goal in (
            ("least", min, ""),
            ("median", median, f"0.5: {'met' if median(ratios) >= 0.5 else 'missed'}"),
            ("greatest", max, ""),
        )
    ]
    text += table(("", "readings/s, outbox on", "outbox off", "ratio", "goal"), [*rounds, *sums])
    text += BYTES.format(rate=RATE, seconds=options.seconds)
    rows = [
        (name, f"{count:,.0f}", f"600: {'met' if count < 600 else 'missed'}" if name == "the agent" else "")
        for name, count in results.bytes.items()
    ]
    return text + table(("", "bytes written per reading", "goal"), rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure delivery; write its section of docs/performance.md."
    )
    parser.add_argument("--rounds", type=int, default=6, help="rounds of each mode")
    parser.add_argument("--readings", type=int, default=20_000, help="readings of a round")
    parser.add_argument("--tasks", type=int, default=200, help="tasks that publish")
    parser.add_argument("--seconds", type=float, default=60, help="how long readings come steadily")
    parser.add_argument("--folder", default=None, help="where all files go; on the disk to be measured")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write into")
    return parser.parse_args()


if __name__ == "__main__":
    main()
