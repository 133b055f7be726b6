"""bench/serial_page.py writes what a bench prints into that bench's block, and nothing else."""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str, Path], bool]:
    monkeypatch.syspath_prepend(BENCH)
    function: Callable[[Path, str, Path], bool] = import_module("serial_page").write
    for name in ("serial_page", "page"):
        sys.modules.pop(name)
    return function


def test_a_block_is_replaced_where_it_stands(
    tmp_path: Path, write: Callable[[Path, str, Path], bool], capfd: pytest.CaptureFixture[str]
) -> None:
    page, bench = tmp_path / "performance.md", tmp_path / "some.py"
    page.write_text(
        "# Page\n\n<!-- bench/some.py writes from here on -->\nold\n"
        "<!-- bench/some.py writes up to here -->\n\nkept\n",
        encoding="utf-8",
    )
    bench.write_text("print('5 µs')\n", encoding="utf-8")
    assert write(bench, "About.", page)
    assert page.read_text(encoding="utf-8") == (
        "# Page\n\n<!-- bench/some.py writes from here on -->\nAbout.\n\n```\n5 µs\n```\n"
        "<!-- bench/some.py writes up to here -->\n\nkept\n"
    )
    assert capfd.readouterr().out == "5 µs\n"
    bench.write_text("print('9 µs')\nraise SystemExit(1)\n", encoding="utf-8")
    assert not write(bench, "About.", page)
    assert "9 µs" in page.read_text(encoding="utf-8")


def test_the_page_has_a_place_for_each_bench() -> None:
    text = (BENCH.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in ("serial_codec.py", "serial_latency.py", "serial_flood.py"):
        assert (BENCH / name).is_file()
        assert text.count(f"<!-- bench/{name} writes from here on -->\n") == 1
        assert text.count(f"<!-- bench/{name} writes up to here -->\n") == 1


async def test_a_call_is_shown_beside_raw_bytes_with_and_without_a_loop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCH)
    bench = import_module("serial_latency")
    for name in ("serial_latency", "samples", "accounts"):
        sys.modules.pop(name)
    ratio = await bench.round_trips(20, 1)
    found = re.search(
        r"round 1: p50 of raw bytes blocking (\d+) us, through the loop (\d+) us, of a call (\d+) us: "
        r"([\d.]+) and ([\d.]+) times",
        capsys.readouterr().out,
    )
    assert found is not None
    blocking, loop, call, least, own = map(float, found.groups())
    assert min(blocking, loop, call) > 0
    assert least == pytest.approx(call / blocking, rel=0.2)
    assert own == pytest.approx(ratio, abs=0.01)
