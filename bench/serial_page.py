"""Runs the benches of the serial link and writes what they print into `docs/performance.md`, a block each.

`python bench/serial_page.py` fails if one of them misses its goal.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from page import PAGE, put_block

HERE = Path(__file__).parent
BENCHES = {
    "serial_codec.py": "Frames and text lines, decoded on this machine.",
    "serial_latency.py": "A call beside raw bytes, through the loop and blocking; a line's way to a handler.",
    "serial_flood.py": "Lines as fast as a pty takes them: what becomes of the loop and of the memory.",
}
"""Each bench, and what it measures."""


def write(bench: Path, about: str, page: Path) -> bool:
    """Runs a bench, and writes its block.

    Args:
        bench: The script.
        about: What it measures.
        page: Where its block is, or is to be.

    Returns:
        Whether it reached its goals.
    """
    done = subprocess.run([sys.executable, str(bench)], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.stdout:
        put_block(page, f"bench/{bench.name}", f"{about}\n\n```\n{done.stdout.strip()}\n```")
    return done.returncode == 0


def main(words: Sequence[str] | None = None) -> int:
    """Runs each."""
    parser = argparse.ArgumentParser(description="Measure the serial link; write docs/performance.md.")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write")
    output = parser.parse_args(words).output
    reached = [write(HERE / name, about, output) for name, about in BENCHES.items()]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
