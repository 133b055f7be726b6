"""Fuzzes the board's C core with libFuzzer: `python -m tests.fuzz.c_core [SECONDS]`; needs clang.

It runs for 60 seconds unless told otherwise. The corpus is kept in build/fuzz/c_core, out of git, and begins
with the vectors' messages to a board.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.arduino import build

FOLDER = build.ROOT / "build" / "fuzz" / "c_core"
FRAMED = 0x40
"""The bit of a piece's size by which the target stuffs it as a body; see c_core_fuzz.c."""


def plant(corpus: Path) -> None:
    """Puts the vectors' messages to a board into the corpus."""
    corpus.mkdir(parents=True, exist_ok=True)
    vectors = json.loads((build.ROOT / "firmware_bridge" / "vectors.json").read_text(encoding="utf-8"))
    for vector in vectors:
        if vector["kind"] == "message" and vector["to"] == "board":
            body = bytes.fromhex(vector["body"])
            if len(body) < FRAMED:
                (corpus / vector["name"]).write_bytes(bytes((FRAMED | len(body),)) + body)


def fuzz(seconds: int) -> int:
    """Builds the target and runs it; what it finds is left beside the corpus.

    Returns:
        libFuzzer's exit code, 0 where it found nothing.
    """
    corpus = FOLDER / "corpus"
    plant(corpus)
    target = build.fuzz_target(FOLDER)
    words = (
        f"-max_total_time={seconds}",
        "-max_len=600",
        "-timeout=1",
        "-verbosity=0",
        f"-artifact_prefix={FOLDER}/",
    )
    return subprocess.run([target, *words, corpus], check=False).returncode


def main() -> int:
    """Runs it as the command line says."""
    return fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 60)


if __name__ == "__main__":
    sys.exit(main())
