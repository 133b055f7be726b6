"""The comparisons and the growth in their shortest form: every part runs from end to end, and counts exactly.

How fast anything is is not judged here. That readings arrive, each once, the benches check by themselves: a
store with more or fewer ends them with an error.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PARTS = {
    "singles": 1,
    "batches": 2,
    "fleet": 1,
    "latency": 4,
    "commands": 1,
    "limit": 1,
    "wire": 1,
    "memory": 1,
}
"""Each part, and its goals; two of the latency's are figures without one."""

TURNS = ("iotxmpp", "aiomqtt + Mosquitto", "paho-mqtt + Mosquitto", "plain slixmpp + Prosody")


def run(script: str, page: Path, *words: str) -> str:
    """The page after a run."""
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *words, "--output", str(page)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "destroyed" not in done.stderr, "a task was left behind"
    return page.read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """All rows of tables: the cells by the first one."""
    found = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    return {cells[0]: cells[1:] for cells in found}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("speed") / "performance.md"
    written.write_text("By hand.\n", encoding="utf-8")
    run("speed.py", written, "--size", "tiny")
    return written


def test_every_part_reaches_the_page_with_its_goals(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    kept = json.loads((page.parent / "performance" / "speed.json").read_text(encoding="utf-8"))
    assert {name: len(part["goals"]) for name, part in kept["parts"].items()} == PARTS
    verdicts = re.findall(r"^\| .* \| (met|\*\*not met\*\*|no goal) \| .* \|$", text, re.MULTILINE)
    assert len(verdicts) == sum(PARTS.values())
    assert verdicts.count("no goal") == 2
    assert text.endswith("By hand.\n")
    for plot in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (page.parent / plot).stat().st_size > 0


def test_all_sides_take_part(page: Path) -> None:
    found = rows(page.read_text(encoding="utf-8"))
    assert set(TURNS) <= found.keys()
    for side in TURNS[2:]:
        assert float(found[side][1].replace(",", "")) > 0
    assert {
        "raw sockets: the limit",
        "iotxmpp's link",
        "iotxmpp, one channel, distinct times",
    } <= found.keys()


def test_each_reading_at_a_pace_arrives_and_its_call_returns(page: Path) -> None:
    found = rows(page.read_text(encoding="utf-8"))
    for rate, count in (("12", "3"), ("30", "10"), ("300", "50")):
        for what in ("to the handler", "until `publish` returns"):
            readings, *sides, _, _ = found[f"{rate}/s, {what}"]
            assert readings == count
            assert all(float(figure) > 0 for side in sides for figure in side.split(" / "))


def test_one_part_alone_leaves_the_others(page: Path) -> None:
    before = json.loads((page.parent / "performance" / "speed.json").read_text(encoding="utf-8"))
    run("speed.py", page, "--size", "tiny", "--only", "commands")
    after = json.loads((page.parent / "performance" / "speed.json").read_text(encoding="utf-8"))
    assert {name for name in PARTS if after["parts"][name] == before["parts"][name]} == PARTS.keys() - {
        "commands"
    }


def test_growth_is_measured_by_all_three_sizes(tmp_path: Path) -> None:
    text = run("growth.py", tmp_path / "performance.md", "--tiny")
    kept = json.loads((tmp_path / "performance" / "growth.json").read_text(encoding="utf-8"))
    sizes = {name: [point["size"] for point in points] for name, points in kept["parts"].items()}
    assert sizes == {"devices": [1, 3], "packs": [1, 50], "depth": [50, 500]}
    samples = [each for points in kept["parts"].values() for point in points for each in point["samples"]]
    assert len(samples) == 2 * 6, "two repetitions of each"
    told = (
        "rate",
        "together",
        "p50",
        "p99",
        "device_cpu",
        "controller_cpu",
        "device",
        "controller",
        "server",
    )
    assert all(each[what] > 0 for each in samples for what in told)
    assert text.count("The greatest growth of a step is") == 3
    assert len(list((tmp_path / "performance").glob("*.svg"))) == 9
