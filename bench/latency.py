"""How long a reading and a command take, beside raw slixmpp; and what a device costs in memory and time.

`python bench/latency.py` starts private servers on the loopback interface, prints the tables and writes them
to `docs/performance.md`, between its two marks there; what stands outside of those stays as it is.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import footprint
from accounts import Accounts, make_accounts
from ends import Once, iotxmpp_ends, link_ends, raw_ends
from machine import load
from page import PAGE, put_block
from report import Results, markdown
from samples import Series

from iotxmpp.server import ServerKind, ServerProcess, ServerSpec

PAUSE = 0.002
_WARM_UP = 0.1


def main() -> None:
    """Measures, prints and writes."""
    options = _options()
    results = Results(
        repetitions=options.repetitions,
        rounds=options.rounds,
        pause=PAUSE * 1000,
        seconds=options.seconds,
        runs=options.runs,
        load=load(),
    )
    asyncio.run(_measure(options.server or [str(kind) for kind in ServerKind], results))
    page = markdown(results)
    print(page)
    put_block(options.output, "bench/latency.py", page)


async def _measure(servers: Sequence[str], results: Results) -> None:
    for server in servers:
        await _measure_server(server, results)
    results.facts += footprint.import_times(runs=results.runs)
    for server in servers:
        results.facts.append(await footprint.demo_start(server))


async def _measure_server(kind: str, results: Results) -> None:
    with ExitStack() as stack:
        # Two folders: the server's own may be another user's.
        home, folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iotxmpp-bench-"))) for _ in range(2)
        )
        async with ServerProcess(ServerSpec(kind=ServerKind(kind), directory=home)) as server:
            accounts = await make_accounts(server)
            results.latencies[kind] = await _latencies(server, accounts, folder, results)
            results.facts += await footprint.agent_memory(
                server, accounts.footprint, folder, seconds=results.seconds
            )


async def _latencies(
    server: ServerProcess, accounts: Accounts, folder: Path, results: Results
) -> list[Series]:
    series = [
        Series(name="raw slixmpp: IQ round trip"),
        Series(name="raw slixmpp: publish → notification handler"),
        Series(name="iotxmpp: `await link.call(…)` → `link.serve(…)` round trip"),
        Series(name="iotxmpp: `await device.call(…)`, an idempotent command", ratio_goal=1.5),
        Series(name="iotxmpp: `await device.call(…)`, a command in the journal", ratio_goal=3),
        Series(name="iotxmpp: `await agent.publish(…)` → `@controller.on_reading` handler", goal=10),
    ]
    for _ in range(results.repetitions):
        for each in series:
            each.begin()
        async with _ends(server, accounts, folder) as ends:
            for _ in range(round(results.rounds * _WARM_UP)):
                await _round(ends)
            for turn in range(results.rounds):
                for which, nanoseconds in await _round(ends, first=turn % len(ends)):
                    series[which].add(nanoseconds)
    return series


@asynccontextmanager
async def _ends(server: ServerProcess, accounts: Accounts, folder: Path) -> AsyncIterator[list[Once]]:
    async with (
        raw_ends(server, accounts, folder) as raw,
        link_ends(accounts, folder) as links,
        iotxmpp_ends(server, accounts, folder) as ours,
    ):
        yield [*raw, *links, *ours]


async def _round(ends: Sequence[Once], *, first: int = 0) -> list[tuple[int, int]]:
    """Measures each once; returns which, and the nanoseconds."""
    times = []
    for step in range(len(ends)):
        which = (first + step) % len(ends)
        times.append((which, await ends[which]()))
        await asyncio.sleep(PAUSE)
    return times


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure latencies and footprint; write docs/performance.md."
    )
    parser.add_argument(
        "--server",
        action="append",
        choices=[str(kind) for kind in ServerKind],
        help="a server; may be given again; default: each",
    )
    parser.add_argument("--repetitions", type=int, default=5, help="repetitions of the latencies")
    parser.add_argument("--rounds", type=int, default=200, help="rounds in each repetition")
    parser.add_argument(
        "--seconds", type=float, default=5, help="how long the agent runs before its memory is read"
    )
    parser.add_argument("--runs", type=int, default=9, help="interpreters for each import")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
