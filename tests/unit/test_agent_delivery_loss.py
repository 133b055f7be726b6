"""What is lost is told, and a kill loses nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iotxmpp.agent import OutboxSettings
from iotxmpp.agent.outbox.inspection import lost, waiting
from iotxmpp.crashpoints import VARIABLE
from iotxmpp.errors import OutboxFullError
from tests.unit.agent_house import House, until
from tests.unit.delivery_house import level, path_of

ROOT = Path(__file__).parents[2]


# What is lost is told.


async def test_what_found_no_room_reaches_the_collector_as_a_gap(house: House) -> None:
    agent = level(house, outbox=OutboxSettings(bytes=36 * 200, replay_delay=0.0))
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        for start in range(0, 500, 100):
            await asyncio.gather(*(agent.publish("level", value) for value in range(start, start + 100)))
        dropped = agent.status.dropped
        assert dropped >= 300
    assert [(each.first, each.last, each.reason) for each in lost(path_of(agent))] == [(1, dropped, "full")]
    async with agent:
        await until(lambda: len(house.readings) == 500 - dropped)
        await until(lambda: agent.status.buffered == 0)
        await until(lambda: bool(house.gaps))
    assert [(gap.reason, gap.lost) for gap in house.gaps] == [("full", ((1, dropped),))]
    assert [numbers.contiguous for numbers in house.have.values()] == [500]
    assert lost(path_of(agent)) == []


async def test_a_channel_may_reject(house: House) -> None:
    agent = house.agent(outbox=OutboxSettings(bytes=4096))
    agent.channel("level", type="int", when_full="reject")
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        results = await asyncio.gather(
            *(agent.publish("level", value) for value in range(200)), return_exceptions=True
        )
        refused = [each for each in results if isinstance(each, OutboxFullError)]
        assert len(refused) == 200 - 4096 // 36
        assert (agent.status.dropped, agent.status.buffered) == (0, 4096 // 36)
        agent.publish_soon("level", 1)
        await until(lambda: any("outbox is full" in text for text in agent.status.problems))


def run_child(folder: Path, first: int, count: int, crash: str | None = None) -> int:
    environment = {**os.environ, **({VARIABLE: crash} if crash else {})}
    command = [sys.executable, "-m", "tests.unit.outbox_child", str(folder), str(first), str(count)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, timeout=60, capture_output=True, text=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


# A killed agent.


@pytest.mark.parametrize(
    "label", ["accepted:12", "committed:3", "uncommitted:3", "published:3", "acked:3", "trimmed:2"]
)
def test_a_kill_at_any_point_loses_nothing_that_was_promised(tmp_path: Path, label: str) -> None:
    assert run_child(tmp_path, 0, 40, label) == -signal.SIGKILL
    assert run_child(tmp_path, 100, 10) == 0
    promised = [int(line) for line in (tmp_path / "promised").read_text().split()]
    lines = [line.split() for line in (tmp_path / "received").read_text().splitlines()]
    by_number = {(epoch, seq): int(value) for epoch, seq, value in lines}
    assert promised
    assert promised[-10:] != promised[:10]
    # Each number has one value, each value one number; what was promised is among them.
    assert {(epoch, seq, int(value)) for epoch, seq, value in lines} == {
        (*number, value) for number, value in by_number.items()
    }
    assert len(set(by_number.values())) == len(by_number)
    assert set(promised) <= set(by_number.values())
    assert waiting(tmp_path / "outbox.db") == []
