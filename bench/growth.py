"""How iotxmpp grows: throughput, latency and memory by the number of devices, by pack size, by outbox depth.

`python bench/growth.py` starts private servers on the loopback interface, and writes its block of
`docs/performance.md` and the plots beside it. `--only KIND` measures one kind and leaves the others.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

from page import PAGE, put_block
from speed import run_facts
from versus import growth_depth, growth_devices, growth_packs, growth_page, kept
from versus.growth_kinds import KINDS
from versus.growth_point import Point


def main() -> None:
    """Measures, prints and writes."""
    options = _options()
    facts = {**run_facts(), "cores": len(os.sched_getaffinity(0))}
    found = asyncio.run(_measure(options.only or list(KINDS), options.folder, tiny=options.tiny))
    page = options.output or (None if options.tiny else PAGE)
    if page is None:  # tiny sizes say nothing that is worth to be kept
        return
    before = kept.load(page, "growth")
    after = {"run": facts, "parts": {**before.get("parts", {}), **found}}
    kept.save(page, "growth", after)
    put_block(page, growth_page.BLOCK, growth_page.write(page, after))


async def _measure(names: list[str], folder: Path | None, *, tiny: bool) -> dict[str, Any]:
    found = {}
    for name in names:
        begun = time.monotonic()
        points = await _points(folder, name, tiny=tiny)
        kind = KINDS[name]
        took = f"measured in {time.monotonic() - begun:.0f} s"
        print(f"### {kind.title}\n\n{growth_page.points_table(points, kind.size)}\n{took}\n", flush=True)
        found[name] = [point.kept() for point in points]
    return found


async def _points(folder: Path | None, name: str, *, tiny: bool) -> list[Point]:
    if name == "devices":
        return await growth_devices.measure(folder, growth_devices.TINY if tiny else growth_devices.Sizes())
    if name == "packs":
        return await growth_packs.measure(folder, growth_packs.TINY if tiny else growth_packs.Sizes())
    return await growth_depth.measure(folder, growth_depth.TINY if tiny else growth_depth.Sizes())


def _options() -> argparse.Namespace:
    kinds = list(KINDS)
    parser = argparse.ArgumentParser(description="Measure growth; write docs/performance.md.")
    parser.add_argument("--only", action="append", choices=kinds, help="a kind; may be given again")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, which show only that it runs")
    parser.add_argument("--folder", type=Path, default=None, help="a folder on the disk to be used")
    parser.add_argument(
        "--output", type=Path, default=None, help="the page to write; not by default with --tiny"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
