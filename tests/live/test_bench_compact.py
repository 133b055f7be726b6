"""The bench of the forms of a pack, in a short form: it measures what it promises."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench" / "compact.py"
MARKS = (
    "<!-- bench/compact.py writes from here on -->",
    "<!-- bench/compact.py writes up to here -->",
)


def test_each_form_is_measured_on_all_sides(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"By hand.\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nKept.\n", encoding="utf-8")
    words = ("--rounds", "1", "--items", "10", "--output", str(page))
    done = subprocess.run(
        [sys.executable, str(BENCH), *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    text = page.read_text(encoding="utf-8")
    assert text == f"By hand.\n\n{MARKS[0]}\n{done.stdout.strip()}\n{MARKS[1]}\n\nKept.\n"
    costs = [line.strip("| ").split(" | ") for line in text.splitlines() if line.count("|") == 9]
    measured = [cells for cells in costs if cells[1] in ("json", "zlib 1", "zlib 5", "zlib 6", "zlib 9")]
    assert len(measured) == 9 * 5
    for _, _, device, server, controller, whole, *_ in measured:
        sides = [float(cell) for cell in (device, server, controller)]
        assert all(side > 0 for side in sides)
        assert abs(sum(sides) - float(whole)) <= 2
