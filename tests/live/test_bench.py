"""The bench in a short form: it measures what it promises. How fast things are is not judged here."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "latency.py"
DELIVERY = BENCH.with_name("delivery.py")
SHORT = ("--repetitions", "2", "--rounds", "3", "--seconds", "0.2", "--runs", "1")
SERVERS = ("prosody", "ejabberd")
MARKS = (
    "<!-- bench/latency.py writes from here on -->",
    "<!-- bench/latency.py writes up to here -->",
)
BEFORE = "By hand.\n\n"
AFTER = "\n## By hand, too\n\nKept.\n"
FLOOR = "raw slixmpp: IQ round trip"
LATENCIES = (
    FLOOR,
    "raw slixmpp: publish → notification handler",
    "iotxmpp: `await link.call(…)` → `link.serve(…)` round trip",
    "iotxmpp: `await device.call(…)`, an idempotent command",
    "iotxmpp: `await device.call(…)`, a command in the journal",
    "iotxmpp: `await agent.publish(…)` → `@controller.on_reading` handler",
)
FOOTPRINT = {
    "an agent's process over {server}, resident (RSS)": "MB",
    "an agent's process over {server}, its share of it (PSS)": "MB",
    "`import iotxmpp`": "s",
    "`from iotxmpp import Agent`": "s",
    "`from iotxmpp import Controller`": "s",
    "`iotxmpp demo --server {server}` to its first reading": "s",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page after a short run, which leaves what people wrote there."""
    written = tmp_path_factory.mktemp("bench") / "performance.md"
    written.write_text(f"{BEFORE}{MARKS[0]}\nold\n{MARKS[1]}\n{AFTER}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(BENCH), *SHORT, "--output", str(written)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "destroyed" not in done.stderr, "a task was left behind"
    text = written.read_text(encoding="utf-8")
    assert text == f"{BEFORE}{MARKS[0]}\n{done.stdout.strip()}\n{MARKS[1]}\n{AFTER}"
    return text


@pytest.mark.parametrize("server", SERVERS)
def test_each_latency_is_measured_beside_the_floor(page: str, server: str) -> None:
    rows = table_below(page, f"### {'Prosody' if server == 'prosody' else server}")
    assert tuple(rows) == LATENCIES
    floor = float(rows[FLOOR][0])
    for cells in rows.values():
        p50, p90, p99 = (float(cell) for cell in cells[:3])
        lowest, highest = (float(cell) for cell in cells[3].split(" to "))
        assert 0 < p50 <= p90 <= p99
        assert 0 < lowest <= highest <= p99
        assert float(cells[4]) == pytest.approx(p50 / floor, rel=0.05, abs=0.1)
    goals = [cells[5].partition(":")[0] for cells in rows.values()]
    assert goals == ["", "", "", "1.5 times", "3 times", "10 ms"]


def test_footprint_is_measured(page: str) -> None:
    rows = table_below(page, "## Footprint")
    expected = {name.format(server=server): unit for server in SERVERS for name, unit in FOOTPRINT.items()}
    assert {name: cells[0].split()[1] for name, cells in rows.items()} == expected
    assert all(float(cells[0].split()[0]) > 0 for cells in rows.values())
    assert sum(bool(cells[1]) for cells in rows.values()) == 5, "goals: each RSS, one import, each demo"


def test_the_page_says_what_it_ran_on(page: str) -> None:
    assert "cores" in page
    assert f"CPython {sys.version.split()[0]}" in page
    assert "slixmpp 1." in page
    assert "2 repetitions of 3 rounds" in page


def test_delivery_is_measured_with_the_outbox_on_and_off(tmp_path: Path) -> None:
    written = tmp_path / "performance.md"
    first, last = (f"<!-- bench/delivery.py writes {where} -->" for where in ("from here on", "up to here"))
    frame = f"# Performance\n\n{first}\n%s\n{last}\n\n## Footprint\n\nkept\n"
    written.write_text(frame % "old", encoding="utf-8")
    short = ("--rounds", "2", "--few", "10", "--few-rounds", "1", "--readings", "200", "--seconds", "0.5")
    done = subprocess.run(
        [sys.executable, str(DELIVERY), *short, "--folder", str(tmp_path), "--output", str(written)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    page = written.read_text(encoding="utf-8")
    assert page == frame % done.stdout.strip()
    assert done.stdout.startswith("## Delivery\n")
    rounds = table_below(page, "A round is")
    assert list(rounds) == ["round 1", "round 2", "least", "median", "greatest"]
    few = table_below(page, "With fewer tasks")
    assert list(few) == ["10 tasks, 200 readings"]
    for cells in (*rounds.values(), *few.values()):
        on, off, ratio = (float(cell.replace(",", "")) for cell in cells[:3])
        assert on > 0
        assert off > 0
        assert ratio >= 0
    for name in ("round 1", "round 2"):
        on, off, ratio = (float(cell.replace(",", "")) for cell in rounds[name][:3])
        assert ratio == pytest.approx(on / off, rel=0.05, abs=0.01)
    assert rounds["median"][3].partition(":")[0] == "0.5"
    written_bytes = table_below(page, "Last, an agent")
    assert list(written_bytes) == ["the agent", "the controller"]
    assert all(float(cells[0].replace(",", "")) >= 0 for cells in written_bytes.values())


def table_below(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the first table after a heading, without its head: the cells by the first one."""
    below = page[page.index(f"\n{heading}") :].splitlines()
    start = next(number for number, line in enumerate(below) if line.startswith("| ---"))
    rows = {}
    for line in below[start + 1 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        rows[name] = cells
    return rows
