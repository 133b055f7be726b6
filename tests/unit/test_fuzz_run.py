"""`make fuzz` notices an input that takes too long, or too much memory."""

import time
from pathlib import Path

import pytest

from tests.fuzz import run
from tests.fuzz.bridge import TARGETS


def work(seconds: float) -> None:
    """Takes so much of the processor's time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture(autouse=True)
def targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "slow", lambda data: work(0.15 if data == b"slow" else 0))
    monkeypatch.setitem(TARGETS, "greedy", lambda data: bytearray(60_000_000 if data else 0) and None)


def test_what_takes_little_is_good() -> None:
    assert run.too_much("slow", b"") == ""
    assert run.too_much("greedy", b"") == ""
    assert run.too_much("stream", b"temperature=21.5\n" * 900) == ""


def test_what_takes_too_much_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    assert run.too_much("greedy", b"x").endswith("60 MB")
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "fine").write_bytes(b"quick")
    assert run.measure("slow")
    (tmp_path / "slow" / "found").write_bytes(b"slow")
    assert not run.measure("slow")
    told = capsys.readouterr().out
    assert told.startswith(f"slow: {tmp_path}/slow/found: 1")
    assert told.endswith(" ms\n")
