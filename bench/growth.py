"""How iotxmpp grows: throughput, latency and memory by the number of devices, by pack size, by outbox depth.

`python bench/growth.py` starts a private server on the loopback interface, and writes its block of
`docs/performance.md` and the plots beside it. `--only KIND` measures one kind and leaves the others.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from page import PAGE, put_block
from speed import run_facts
from versus import growth_depth, growth_devices, growth_packs, growth_page, kept
from versus.growth_point import Point
from versus.stage import Stage, stage


def main() -> None:
    """Measures, prints and writes."""
    options = _options()
    found = asyncio.run(_measure(options.only or list(growth_page.KINDS), options.folder, tiny=options.tiny))
    page = options.output or (None if options.tiny else PAGE)
    if page is None:  # tiny sizes say nothing that is worth to be kept
        return
    before = kept.load(page, "growth")
    after = {"run": run_facts(), "parts": {**before.get("parts", {}), **found}}
    kept.save(page, "growth", after)
    put_block(page, growth_page.BLOCK, growth_page.write(page, after))


async def _measure(kinds: list[str], folder: Path | None, *, tiny: bool) -> dict[str, Any]:
    found = {}
    async with stage(folder) as place:
        for name in kinds:
            points = await _points(place, name, tiny=tiny)
            kind = growth_page.KINDS[name]
            print(f"### {kind.title}\n\n{growth_page.points_table(points, kind.size)}", flush=True)
            found[name] = [point.kept() for point in points]
    return found


async def _points(place: Stage, name: str, *, tiny: bool) -> list[Point]:
    if name == "devices":
        return await growth_devices.measure(place, growth_devices.TINY if tiny else growth_devices.Sizes())
    if name == "packs":
        return await growth_packs.measure(place, growth_packs.TINY if tiny else growth_packs.Sizes())
    return await growth_depth.measure(place, growth_depth.TINY if tiny else growth_depth.Sizes())


def _options() -> argparse.Namespace:
    kinds = list(growth_page.KINDS)
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
