"""bench/serial_page.py writes what a bench prints into that bench's block, and nothing else."""

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
