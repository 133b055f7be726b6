"""What the benches make of their figures: goals, growth, the page and its plots; nothing is measured here."""

import asyncio
import json
import re
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
Bench = Callable[[str], ModuleType]
"""Imports a module of the benches."""

RUN = {"machine": "a machine", "load": "0.1", "software": "software", "servers": "servers"}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Imports a module of the benches, and forgets all of them afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    yield import_module
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            sys.modules.pop(name)


def goal(bench: Bench, value: float, *, least: bool) -> object:
    return bench("versus.goals").Goal(
        name="speed", value=value, unit="times", bound=2.0, least=least, basis="4/s, 2/s"
    )


@pytest.mark.parametrize(
    ("value", "least", "met"),
    [(2.0, True, True), (1.9, True, False), (2.0, False, True), (2.1, False, False)],
)
def test_a_goal_is_met_at_its_bound(bench: Bench, value: float, least: bool, met: bool) -> None:
    made = bench("versus.goals").Goal(name="speed", value=value, unit="times", bound=2.0, least=least)
    assert made.met is met


def test_goals_are_told_with_what_they_come_from(bench: Bench) -> None:
    rows = bench("versus.speed_page").goal_rows(
        [goal(bench, 3.14159, least=True), goal(bench, 400, least=False)]
    )
    assert rows == (
        "| speed: at least 2 times | 3.14 times | met | 4/s, 2/s |\n"
        "| speed: at most 2 times | 400 times | **not met** | 4/s, 2/s |\n"
    )


def test_outcomes_survive_their_json(bench: Bench) -> None:
    outcome = bench("versus.goals").Outcome(
        goals=[goal(bench, 3, least=True)], text="a text", figures={"rates": {"a": 1.0}}
    )
    kept = json.loads(json.dumps(outcome.kept()))
    assert bench("versus.goals").Outcome.of(kept) == outcome


def test_a_run_of_one_part_leaves_what_others_found(bench: Bench, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    kept, goals = bench("versus.kept"), bench("versus.goals")
    assert kept.load(page, "speed") == {}
    outcome = goals.Outcome(goals=[goal(bench, 3, least=True)], text="about latency", figures={})
    kept.save(page, "speed", {"run": RUN, "parts": {"latency": outcome.kept()}})
    assert kept.outcomes(kept.load(page, "speed")) == {"latency": outcome}


def test_the_block_has_goals_first_and_draws_its_plots(bench: Bench, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    outcome = bench("versus.goals").Outcome
    parts = {
        "singles": outcome(
            goals=[goal(bench, 3, least=True)], text="by one", figures={"rates": {"ours": 9.0, "peer": 3.0}}
        ),
        "fleet": outcome(
            goals=[goal(bench, 1, least=True)],
            text="by many",
            figures={"steps": {"ours": [[100, 99.0], [200, 150.0]], "peer": [[100, 60.0]]}},
        ),
    }
    found = {"run": RUN, "parts": {name: part.kept() for name, part in parts.items()}}
    write = bench("versus.speed_page").write
    text = write(page, found)
    assert (
        text.index("| speed: at least 2 times | 3 times | met |")
        < text.index("by one")
        < text.index("by many")
    )
    assert "a machine" in text
    for name in ("singles", "fleet"):
        assert f"(performance/speed-{name}.svg)" in text
        drawn = tmp_path / "performance" / f"speed-{name}.svg"
        first = drawn.read_bytes()
        assert b"ours" in first
        write(page, found)
        assert drawn.read_bytes() == first, "the same figures make the same plot"


SAMPLE = {
    "rate": 1000.0,
    "together": 50.0,
    "p50": 2.0,
    "p99": 4.0,
    "device_cpu": 500.0,
    "server_cpu": 100.0,
    "controller_cpu": 250.0,
    "other_cores": 0.1,
    "device": 10.0,
    "controller": 60.0,
    "server": 17.0,
}


def point(bench: Bench, size: int, *changes: dict[str, float], processes: int = 1) -> Any:  # noqa: ANN401  # a bench's
    """A point with a repetition for each of the changes."""
    module = bench("versus.growth_point")
    samples = [module.Sample(**{**SAMPLE, **change}) for change in changes or ({},)]
    return module.Point(size=size, processes=processes, samples=samples)


def points(bench: Bench, *rows: tuple[int, float, float, float]) -> list[Any]:
    return [
        point(bench, size, {"rate": rate, "p50": p50, "p99": 2 * p50, "device": memory})
        for size, rate, p50, memory in rows
    ]


def test_growth_is_told_as_a_power_of_the_size(bench: Bench) -> None:
    grown = points(bench, (1, 1000, 2.0, 10.0), (10, 1000, 20.0, 10.0), (100, 100, 20.0, 1000.0))
    growth = bench("versus.growth_page").growth(grown)
    assert growth["time a reading"] == pytest.approx([0, 1])
    assert growth["latency p50"] == pytest.approx([1, 0])
    assert growth["memory of a device"] == pytest.approx([0, 2])


@pytest.mark.parametrize(
    ("memory", "verdict"),
    [(100.0, "1.00: no step is worse than linear"), (300.0, "1.48: **a step is worse than linear**")],
)
def test_a_step_that_is_worse_than_linear_is_told(bench: Bench, memory: float, verdict: str) -> None:
    grown = points(bench, (1, 1000, 2.0, 10.0), (10, 1000, 2.0, memory))
    table = bench("versus.growth_page").points_table(grown, "devices")
    assert f"The greatest growth of a step is {verdict}." in table


def test_the_verdict_on_growth_is_of_medians_and_the_range_is_shown(bench: Bench) -> None:
    rates = [{"rate": rate} for rate in (110.0, 40.0, 105.0)]
    grown = [point(bench, 100, *[{"rate": 1000.0}] * 3), point(bench, 1000, *rates)]
    text = " ".join(bench("versus.growth_page").points_table(grown, "devices").split())
    assert "| 1,000 | 105 | 40 to 110 |" in text
    assert "The greatest growth of a step is 0.98: no step is worse than linear." in text
    assert "Between single repetitions the greatest growth of the time a reading is 1.40." in text


@pytest.mark.parametrize(
    ("change", "processes", "said"),
    [
        (
            {},
            1,
            (
                "At 1 device the agent's process kept 0.50 cores busy, Prosody 0.10, the controller 0.25,"
                " and all else on the machine 0.10; nobody is full"
            ),
        ),
        ({"server_cpu": 900.0, "device_cpu": 50.0}, 1, "Prosody's one thread is full"),
        ({"device_cpu": 1000.0, "controller_cpu": 700.0}, 1, "all 2 cores of the machine are full"),
        ({"other_cores": 1.2}, 1, "machine 1.20; all 2 cores of the machine are full"),
        ({"controller_cpu": 950.0}, 4, "the controller's process is full"),
        ({"device_cpu": 950.0}, 4, "the agents' 4 processes kept 0.95 cores busy"),
    ],
)
def test_the_bound_of_a_throughput_is_said_from_the_figures(
    bench: Bench, change: dict[str, float], processes: int, said: str
) -> None:
    measured = [point(bench, size, change, processes=processes) for size in (1, 10)]
    assert said in bench("versus.growth_bound").who_is_busy(measured, 2, "devices")


def test_points_of_growth_survive_their_json(bench: Bench) -> None:
    measured = point(bench, 10, {}, {"rate": 900.0}, processes=4)
    assert bench("versus.growth_point").Point.of(json.loads(json.dumps(measured.kept()))) == measured


def test_the_page_of_growth_has_three_plots_a_kind_and_explains_each(bench: Bench, tmp_path: Path) -> None:
    grown = [each.kept() for each in points(bench, (1, 1000, 2.0, 10.0), (10, 900, 2.0, 11.0))]
    page = bench("versus.growth_page")
    parts = dict.fromkeys(page.KINDS, grown)
    text = page.write(tmp_path / "performance.md", {"run": {**RUN, "cores": 2}, "parts": parts})
    plots = sorted(path.name for path in (tmp_path / "performance").iterdir())
    assert len(plots) == 9
    assert all(f"(performance/{name})" in text for name in plots)
    for what in ("Throughput", "Latency", "Memory"):
        assert text.count(f"**{what}.**") == 3


def test_a_mark_is_counted_where_it_is_cut_in_two(bench: Bench) -> None:
    counted = bench("versus.socket_xmpp").Counted(b"<item ")
    chunks = [b"<item a<it", b"em b", b"<items><item", b" ", b"c<item d"]
    assert [counted(chunk) for chunk in chunks] == [1, 1, 0, 1, 1]


async def test_a_store_with_too_many_readings_is_no_result(bench: Bench, tmp_path: Path) -> None:
    store = bench("versus.peer_store").PeerStore(tmp_path / "peer.db")
    made = bench("versus.peer_reading").made
    for number in range(5):
        store.take([made("a", float(number))])
    store.close()
    watches = bench("versus.watches")
    watch = watches.Watch(path=tmp_path / "peer.db", quick=watches.PEER[0], exact=watches.PEER[1])
    assert await watch.committed(5) > 0
    with pytest.raises(RuntimeError, match="5 readings of 4"):
        await watch.committed(4)
    with closing(sqlite3.connect(tmp_path / "peer.db")) as connection:
        assert [row[0] for row in connection.execute("SELECT value FROM readings ORDER BY id")] == [
            0,
            1,
            2,
            3,
            4,
        ]


async def test_a_pace_is_kept_by_all_devices_alike(bench: Bench) -> None:
    handed: list[list[int]] = [[], []]

    def device(which: int) -> Callable[[int], Awaitable[None]]:
        async def hand(number: int) -> None:
            handed[which].append(number)

        return hand

    count = await bench("versus.fleet_pace").pace([device(0), device(1)], rate=50, seconds=0.2)
    assert count == 20
    assert handed == [list(range(0, 20, 2)), list(range(1, 20, 2))]


async def test_a_device_that_does_not_follow_skips_its_turn(bench: Bench) -> None:
    fleet_pace = bench("versus.fleet_pace")
    free = asyncio.Event()

    async def stuck(_number: int) -> None:
        await free.wait()

    asyncio.get_running_loop().call_later(0.3, free.set)
    count = await fleet_pace.pace([stuck], rate=2_000, seconds=0.2)
    assert count == fleet_pace.MOST_WAITING


async def test_every_reading_is_handed_over_once(bench: Bench) -> None:
    feeds = bench("versus.feeds")
    handed: list[int] = []

    async def hand(number: int) -> None:
        await asyncio.sleep(0)
        handed.append(number)

    await feeds.by_tasks(hand, 10, tasks=3)
    assert sorted(handed) == list(range(10))
    assert len({feeds.value(number) for number in range(500)}) > 300, "values are noisy"


def test_the_page_has_the_block_of_each_bench_once_and_whole(bench: Bench) -> None:
    page: Path = bench("page").PAGE
    marks = re.findall(
        r"^<!-- (bench/\w+\.py) writes (from here on|up to here) -->$", page.read_text("utf-8"), re.MULTILINE
    )
    begun, ended = marks[::2], marks[1::2]
    assert {when for _, when in begun} == {"from here on"}
    assert {when for _, when in ended} == {"up to here"}
    names = [name for name, _ in begun]
    assert names == [name for name, _ in ended]
    assert sorted(names) == sorted(
        f"bench/{name}.py"
        for name in (
            "compact",
            "delivery",
            "growth",
            "latency",
            "serial_codec",
            "serial_flood",
            "serial_latency",
            "speed",
        )
    )
    assert page.read_text("utf-8").startswith("# Performance\n")
