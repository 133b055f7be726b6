"""A process dies at the named place, at the named pass, and nowhere else."""

import os
import signal
import subprocess
import sys

import pytest

from iotxmpp import crashpoints

PROGRAM = """
from iotxmpp import crashpoints
for number in range(3):
    for label in ("accepted", "committed"):
        print(label, number, flush=True)
        crashpoints.at(label)
"""


def run(crash_at: str | None) -> subprocess.CompletedProcess[str]:
    """Run the program with the variable set to ``crash_at``."""
    environment = {name: value for name, value in os.environ.items() if name != crashpoints.VARIABLE}
    if crash_at is not None:
        environment[crashpoints.VARIABLE] = crash_at
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nothing_happens_without_the_variable() -> None:
    done = run(None)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ("crash_at", "last"),
    [("accepted", "accepted 0"), ("committed", "committed 0"), ("committed:3", "committed 2")],
)
def test_the_process_is_killed_at_that_pass(crash_at: str, last: str) -> None:
    done = run(crash_at)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.splitlines()[-1] == last


@pytest.mark.parametrize("crash_at", ["trimmed", "accepted:4"])
def test_a_place_never_reached_kills_nobody(crash_at: str) -> None:
    assert run(crash_at).returncode == 0
