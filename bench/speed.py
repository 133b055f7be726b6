"""iotxmpp against MQTT in Python, plain slixmpp, and the server's own limit, on this machine.

`python bench/speed.py` starts private servers on the loopback interface, runs all parts, and writes them into
`docs/performance.md` and the folder beside it. `--only PART` runs one part and leaves what the others found.
"""

import argparse
import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Any

from machine import load, machine, server_version, software
from page import PAGE, put_block
from versus import kept, speed_page
from versus.parts import PARTS, SIZES
from versus.stage import stage

_PEERS = ("aiomqtt", "paho-mqtt")


def main() -> None:
    """Measures, prints and writes."""
    options = _options()
    size = "quick" if options.quick else options.size
    found = asyncio.run(_measure(options.only or list(PARTS), size, options.folder))
    page = options.output or (PAGE if size == "full" else None)
    if page is None:  # small sizes say nothing that is worth to be kept
        return
    before = kept.load(page, "speed")
    parts = {**before.get("parts", {}), **found}
    after = {"run": {**run_facts(), "measured": sorted(found)}, "parts": parts}
    kept.save(page, "speed", after)
    put_block(page, speed_page.BLOCK, speed_page.write(page, after))


async def _measure(names: list[str], size: str, folder: Path | None) -> dict[str, Any]:
    found = {}
    async with stage(folder) as place:
        for name in names:
            part = PARTS[name]
            outcome = await part.measure(place, part.sizes[size])
            print(f"### {part.title}\n\n{outcome.text}\n{speed_page.goal_rows(outcome.goals)}", flush=True)
            found[name] = outcome.kept()
    return found


def run_facts() -> dict[str, str]:
    """What a run is on."""
    peers = ", ".join(f"{name} {version(name)}" for name in _PEERS)
    return {
        "machine": machine(),
        "load": load(),
        "software": f"{software()}, {peers}",
        "servers": f"Prosody {server_version('prosody')}, Mosquitto {server_version('mosquitto')}",
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare iotxmpp with its peers; write docs/performance.md.")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given again")
    parser.add_argument("--size", choices=SIZES, default="full", help="how much is measured")
    parser.add_argument("--quick", action="store_true", help="as --size quick: a first impression")
    parser.add_argument("--folder", type=Path, default=None, help="a folder on the disk to be used")
    parser.add_argument(
        "--output", type=Path, default=None, help="the page to write; by default only with full sizes"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
