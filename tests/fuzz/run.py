"""What `make fuzz` runs: `python -m tests.fuzz.run [SECONDS] [TARGET…]`.

Each target of the serial link runs so long under atheris, and the board's C core under libFuzzer. Then every
input of a link's corpus is taken once more without instrumentation, and measured. Corpora stay in build/fuzz.
"""

import subprocess
import sys
import time
import tracemalloc

from tests.fuzz import c_core
from tests.fuzz.bridge import MOST, TARGETS

FOLDER = c_core.FOLDER.parent
ATHERIS = FOLDER / "venv" / "bin" / "python"
C_CORE = "c_core"
SECONDS = 60

LONGEST = 0.1
"""Seconds that an input may take."""

MOST_MEMORY = 50_000_000
"""Bytes that it may take."""


def fuzz(name: str, seconds: int) -> bool:
    """Runs one target under atheris; what it finds is left beside the corpora.

    Returns:
        Whether it found nothing.
    """
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    # The instrumentation makes an input several times as slow; its true time is measured afterwards.
    words = (
        f"-max_total_time={seconds}",
        f"-max_len={MOST}",
        "-timeout=5",
        "-rss_limit_mb=512",
        "-verbosity=0",
    )
    left = f"-artifact_prefix={FOLDER}/{name}-"
    command = [str(ATHERIS), "-m", "tests.fuzz.bridge", name, *words, left, str(corpus)]
    return subprocess.run(command, check=False).returncode == 0


def too_much(name: str, data: bytes) -> str:
    """What an input takes too much of; empty for nothing."""
    began = time.process_time()
    TARGETS[name](data[:MOST])
    taken = time.process_time() - began
    tracemalloc.start()
    try:
        TARGETS[name](data[:MOST])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    faults = [f"{taken * 1000:.0f} ms"] if taken > LONGEST else []
    return ", ".join([*faults, *([f"{peak / 1e6:.0f} MB"] if peak > MOST_MEMORY else [])])


def measure(name: str) -> bool:
    """Whether every input of a corpus takes little; an input that does not is named.

    A time that is too long is measured again, for the machine may have done something else.
    """
    good = True
    for file in sorted((FOLDER / name).iterdir()):
        data = file.read_bytes()
        found = min((too_much(name, data) for _ in range(3)), key=len)
        if found:
            sys.stdout.write(f"{name}: {file}: {found}\n")
            good = False
    return good


def main() -> int:
    """Runs the targets and tells what they found."""
    words = sys.argv[1:]
    seconds = int(words.pop(0)) if words[:1] and words[0].isdecimal() else SECONDS
    names = words or [*TARGETS, C_CORE]
    unknown = [name for name in names if name not in {*TARGETS, C_CORE}]
    if unknown:
        raise SystemExit(f"no target {unknown[0]}; there is {', '.join([*TARGETS, C_CORE])}")
    bad = []
    for name in names:
        sys.stdout.write(f"{name}: {seconds} s\n")
        sys.stdout.flush()
        good = c_core.fuzz(seconds) == 0 if name == C_CORE else fuzz(name, seconds) and measure(name)
        bad += [] if good else [name]
    sys.stdout.write(f"found something: {', '.join(bad)}\n" if bad else "nothing was found\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
