"""A call whose device is killed at any point runs at most once, and ends in a definite state."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iotxmpp import crashpoints

ROOT = Path(__file__).parents[2]


def run(folder: Path, crash_at: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != crashpoints.VARIABLE}
    if crash_at is not None:
        environment[crashpoints.VARIABLE] = crash_at
    return subprocess.run(
        [sys.executable, "-m", "tests.unit.serving_child", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("crash_at", "ran", "then"),
    [
        ("journal.begun", 0, "unknown"),
        ("command.ran", 1, "unknown"),
        ("journal.finished", 1, "done"),
        (None, 1, "done"),
    ],
)
def test_a_call_runs_at_most_once(tmp_path: Path, crash_at: str | None, ran: int, then: str) -> None:
    first = run(tmp_path, crash_at)
    assert first.returncode == (0 if crash_at is None else -signal.SIGKILL), first.stderr
    for _ in range(2):
        again = run(tmp_path, None)
        assert again.stdout == f"{then}\n", again.stderr
    lines = (tmp_path / "ran").read_text().splitlines() if (tmp_path / "ran").exists() else []
    assert len(lines) == ran
