"""What simulated devices read: every shipped profile over a day, faults, and one golden case."""

import asyncio
import itertools
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner, Result

import device_profiles
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, device_id
from iotxmpp.agent.agent import Agent
from iotxmpp.agent.drivers.faults import NAMES, SPIKES, Fault, FaultName, spiked
from iotxmpp.agent.profiled import equip
from iotxmpp.cli.app import app
from iotxmpp.kinds import ReadingKind
from iotxmpp.memory import MemoryServer
from iotxmpp.readings import Value
from iotxmpp.server.devices import add_device
from iotxmpp.simulation.driver import Course, FleetDriver
from iotxmpp.simulation.order import Member, members
from iotxmpp.simulation.printing import Line, lines, tell_truth
from iotxmpp.simulation.truth import truth_file
from tests.unit.agent_house import until

MIDNIGHT = 1_767_225_600.0
DAY = 86_400.0
FLOAT = ReadingKind(type="float", range=(0, 100))


def printed(fleet: tuple[Member, ...], *, every: float | None = None, seconds: float = DAY) -> list[Line]:
    async def collect() -> list[Line]:
        return [line async for line in lines(fleet, since=MIDNIGHT, seconds=seconds, every=every)]

    return asyncio.run(collect())


def by_channel(found: list[Line]) -> dict[tuple[DeviceId, str], list[Value]]:
    channels: dict[tuple[DeviceId, str], list[Value]] = defaultdict(list)
    for line in found:
        channels[line.device, line.channel].append(line.value)
    return channels


def is_steady(kind: ReadingKind) -> bool:
    return kind.simulate.wave == "steady" or kind.simulate.value is not None or kind.type == "str"


@pytest.mark.parametrize("name", device_profiles.names())
def test_a_day_of_a_shipped_profile_is_believable(name: str) -> None:
    fleet = members([name], count=2, seed=3)
    found = printed(fleet, every=600)
    kinds = fleet[0].profile.reading_kinds()
    channels = by_channel(found)
    assert set(channels) == {(member.device, channel) for member in fleet for channel in kinds}
    for (_, channel), values in channels.items():
        kind = kinds[channel]
        assert len(values) == 144
        assert {type(value).__name__ for value in values} == {kind.type}
        numbers = [value for value in values if isinstance(value, int | float)]
        if kind.range is not None:
            assert kind.range[0] <= min(numbers) <= max(numbers) <= kind.range[1], channel
        if not is_steady(kind):
            assert len(set(values)) > 1, channel
        if kind.counter or kind.simulate.wave == "counter":
            assert numbers == sorted(numbers), channel
    assert found == printed(members([name], count=2, seed=3), every=600)


def test_devices_and_seeds_differ() -> None:
    first = by_channel(printed(members(["bme280"], count=2, seed=3), every=3600))
    other = by_channel(printed(members(["bme280"], count=2, seed=4), every=3600))
    days = [tuple(values) for values in (*first.values(), *other.values())]
    assert len(days) == 12
    assert len(set(days)) == 12


def test_warm_air_is_dry() -> None:
    (member,) = members(["xy-md02"])
    drier = 0
    for seed in range(20):
        one = Member(device=member.device, profile=member.profile, seed=str(seed))
        day = by_channel(printed((one,), every=1800))
        warmth, damp = (
            [float(value) for value in day[member.device, name]] for name in ("temperature", "humidity")
        )
        drier += _slope(warmth, damp) < 0
    assert drier >= 15


def _slope(xs: list[float], ys: list[float]) -> float:
    middle = sum(xs) / len(xs)
    return sum((x - middle) * y for x, y in zip(xs, ys, strict=True))


def simulate(line: str) -> Result:
    return CliRunner().invoke(app, ["simulate", *line.split()])


def test_the_printed_values_are_exactly_these() -> None:
    ended = simulate("--profile bme280 --seed 7 --print --since 2026-01-01T00:00Z --seconds 61")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [
        "time,device,channel,value,unit",
        "2026-01-01T00:00:00.000Z,bme280-001,temperature,18.89,Cel",
        "2026-01-01T00:00:00.000Z,bme280-001,humidity,54.86,%RH",
        "2026-01-01T00:00:00.000Z,bme280-001,pressure,992.28,hPa",
        "2026-01-01T00:00:30.000Z,bme280-001,temperature,18.72,Cel",
        "2026-01-01T00:00:30.000Z,bme280-001,humidity,55.39,%RH",
        "2026-01-01T00:01:00.000Z,bme280-001,temperature,18.84,Cel",
        "2026-01-01T00:01:00.000Z,bme280-001,humidity,54.93,%RH",
        "2026-01-01T00:01:00.000Z,bme280-001,pressure,992.22,hPa",
    ]


def test_json_lines_have_the_same_values() -> None:
    ended = simulate("--profile relay4 --print --json --since 2026-01-01T00:00Z --seconds 1")
    head = '{"time": 1767225600.0, "device": "relay4-001", '
    assert ended.stdout.splitlines() == [
        f'{head}"channel": "relay/{n}", "value": false, "unit": null}}' for n in range(1, 5)
    ]


# Faults.


@given(
    kind=st.sampled_from(NAMES), seed=st.text(max_size=9), elapsed=st.floats(0, 1e6), span=st.floats(1, 1e4)
)
def test_a_fault_is_on_once_a_turn(kind: FaultName, seed: str, elapsed: float, span: float) -> None:
    fault = Fault(kind=kind, seed=seed, span=span)
    window = fault.next_window(elapsed)
    assert elapsed < window.ends
    assert 0.19 * span < window.ends - window.begins < 0.31 * span
    assert fault.on_since(window.begins) == window.begins
    assert fault.on_since(window.ends) is None
    assert fault.next_window(window.ends).begins > window.ends


@given(value=st.floats(0, 100), elapsed=st.floats(0, 1e6), name=st.text(max_size=9))
def test_a_spike_is_far_off_and_of_the_type(value: float, elapsed: float, name: str) -> None:
    far = spiked(value, FLOAT, name, elapsed)
    assert isinstance(far, float)
    assert far == value or abs(far - value) > 9
    whole = spiked(round(value), ReadingKind(type="int"), name, elapsed)
    assert type(whole) is int
    assert spiked("ok", ReadingKind(type="str"), name, elapsed) in ("ok", "fault")


def test_so_many_values_are_spikes_and_some_of_them_outside_the_range() -> None:
    values = [spiked(50.0, FLOAT, "one", second) for second in range(10_000)]
    spikes = [value for value in values if value != 50.0]
    outside = [value for value in spikes if isinstance(value, float) and not 0 <= value <= 100]
    assert len(spikes) == pytest.approx(10_000 * SPIKES, rel=0.1)
    assert len(outside) == pytest.approx(len(spikes) / 4, rel=0.2)
    on: Value = True
    switch = ReadingKind(type="bool")
    assert {spiked(on, switch, "one", second) for second in range(100)} == {True, False}


def sensed(kind: FaultName, times: list[float]) -> list[dict[str, Value]]:
    fault = Fault(kind=kind, seed="x", span=1000)
    driver = FleetDriver(
        device_profiles.load("bme280"),
        name="x",
        course=Course(since=MIDNIGHT),
        elapsed=lambda: 0.0,
        fault=fault,
    )

    async def collect() -> list[dict[str, Value]]:
        return [await driver.sensed(time) for time in times]

    return asyncio.run(collect())


def test_a_stuck_sensor_repeats_itself_and_a_silent_one_gives_nothing() -> None:
    window = Fault(kind="stuck", seed="x", span=1000).window(0)
    inside = [window.begins + n for n in range(100)]
    stuck = sensed("stuck", [*inside, window.ends])
    assert [len(stuck), len({str(values) for values in stuck[:-1]})] == [101, 1]
    assert stuck[-1] != stuck[0]
    assert sensed("silent", inside) == [{}] * 100
    assert all(sensed("silent", [window.begins - 1, window.ends]))
    assert sensed("offline", inside) == sensed("silent", []) + [
        right for (right,) in (sensed("offline", [each]) for each in inside)
    ]


@asynccontextmanager
async def running(
    server: MemoryServer, name: str, fault: Fault, elapsed: Callable[[], float]
) -> AsyncIterator[Agent]:
    """An agent in memory, sampled fast."""
    admin = Account(jid="admin@localhost", password=SecretStr("secret"))
    account = await add_device(server, admin, device_id(name), controllers=("house@localhost",))
    profile = device_profiles.load("bme280")
    driver = FleetDriver(profile, name=name, course=Course(since=MIDNIGHT), elapsed=elapsed, fault=fault)
    async with server.link(account) as link:
        agent = Agent(account, link=link, outbox="memory")
        equip(agent, profile, lambda: driver, every=0.01)
        async with agent:
            yield agent


async def test_a_spike_outside_the_range_becomes_a_problem_and_a_silent_device_stays_online() -> None:
    server = MemoryServer()
    spiky = Fault(kind="spiky", seed="x", span=1e6)
    inside = spiky.window(0).begins
    seconds: Iterator[int] = itertools.count()
    problems: set[str] = set()
    async with running(server, "spiky", spiky, lambda: inside + next(seconds)) as agent:

        def has_problem() -> bool:
            problems.update(agent.status.problems)
            return bool(problems)

        await until(has_problem)
    (problem, *_) = problems
    assert re.search(r"^(temperature|humidity|pressure): .*[0-9]", problem), problem
    silent = Fault(kind="silent", seed="x", span=1e6)
    async with running(server, "silent", silent, lambda: silent.window(0).begins) as agent:
        await asyncio.sleep(0.2)
        assert (agent.status.buffered, agent.status.problems) == (0, ())


def test_the_truth_of_printed_values_says_which_values_are_wrong(tmp_path: Path) -> None:
    asked = ["stuck=2", "spiky", "silent=1", "offline"]
    fleet = members(["bme280"], asked, count=8, seed=5, seconds=1000)
    path = tmp_path / "truth.jsonl"
    with truth_file(path) as truth:
        tell_truth(fleet, truth, since=MIDNIGHT, seconds=1000)
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["time"] for line in told] == sorted(line["time"] for line in told)
    assert sorted(line["fault"] for line in told if line["on"]) == sorted(
        ["stuck", "stuck", "spiky", "silent", "offline"]
    )
    silent = next(line["device"] for line in told if line["fault"] == "silent")
    begins, ends = (line["time"] for line in told if line["device"] == silent)
    times = {line.time for line in printed(fleet, every=1, seconds=1000) if line.device == silent}
    missing = {MIDNIGHT + n for n in range(1000)} - times
    assert missing == {MIDNIGHT + n for n in range(1000) if begins <= MIDNIGHT + n < ends}
    assert len(missing) >= 199
