"""`iotxmpp call --where` and `--ttl` on both real servers, and a long command's progress on a terminal."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from iotxmpp import Agent, progress
from iotxmpp.account import Account
from tests.live.site import PATIENCE, Site, name_of, until
from tests.live.terminal import Ended, Terminal
from tests.pty_output import read_all
from tests.servers import server_directory

pytestmark = pytest.mark.asyncio(loop_scope="module")

NORTH = "profile=relay4 and site=north"
STUCK = 4
"""The channel that is stuck on every device."""


@dataclass(kw_only=True)
class Street:
    """Three relays, two of them in the north, and a terminal beside them."""

    site: Site
    house: Account
    terminal: Terminal
    agents: list[Agent] = field(default_factory=list)
    called: list[tuple[str, int]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def ids(self) -> list[str]:
        """The devices, sorted."""
        return [agent.device for agent in self.agents]

    def relay(self, account: Account, place: str) -> Agent:
        name = name_of(account)
        agent = Agent(account, profile="relay4", site=place, outbox=self.site.folder / f"{name}.db")

        @agent.command(name="switch")
        async def switch(channel: int, on: bool) -> bool:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0.3)
            self.at_once -= 1
            self.called.append((name, channel))
            if channel == STUCK:
                raise RuntimeError("it is stuck")
            return on

        @agent.command
        async def move() -> str:
            for step in range(1, 5):
                progress(step / 4, f"step {step} of 4")
                await asyncio.sleep(0.3)
            return "moved"

        return agent

    async def call(self, *words: object) -> Ended:
        """`iotxmpp call` of the controller's account."""
        return await self.terminal.run("call", *words, "-a", "house.toml", "--settle", "1")

    async def north(self, *words: object) -> tuple[int | None, dict[str, dict[str, object]], object]:
        """The exit code, the result of each device in the north, and the summary."""
        ended = await self.call("--where", NORTH, "switch", "on=false", *words, "--json")
        *lines, last = [json.loads(line) for line in ended.out.splitlines()]
        assert ended.err == ""
        return ended.code, {line["device"]: line for line in lines}, last["summary"]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with server_directory() as home:
        home.chmod(0o755)
        yield Terminal(home)


@pytest_asyncio.fixture(loop_scope="module")
async def street(site: Site, terminal: Terminal) -> AsyncIterator[Street]:
    street = Street(site=site, house=await site.account("house"), terminal=terminal)
    street.house.save(terminal.home / "house.toml")
    for name, place in (("a", "north"), ("b", "north"), ("c", "south")):
        street.agents.append(street.relay(await site.device(name, street.house), place))
    async with AsyncExitStack() as stack:
        for agent in street.agents:
            await stack.enter_async_context(agent)
        yield street


def summary(**counts: int) -> dict[str, int]:
    return {**dict.fromkeys(("done", "failed", "unknown", "skipped"), 0), **counts}


async def test_a_command_goes_to_those_that_are_meant(street: Street) -> None:
    a, b, c = street.ids
    words = ("--where", f"{NORTH} or id={c}", "switch", "channel=1", "on=true")
    shown, wrong = await asyncio.gather(
        street.call(*words, "--dry-run"),
        street.call("--where", NORTH, "switch", "channel=one", "on=true", "--dry-run", "--json"),
    )
    assert (shown.code, street.called) == (0, [])
    assert [line.split("  ") for line in shown.out.splitlines()] == [
        [name, "online", "would be called"] for name in (a, b, c)
    ]
    assert [json.loads(line)["would"] for line in wrong.out.splitlines()] == ["refuse", "refuse"]
    assert (wrong.code, street.called) == (2, [])

    done = await street.call(*words, "--max-in-flight", "2")
    assert (done.code, sorted(done.out.splitlines())) == (0, [f"{each}  done: true" for each in (a, b, c)])
    assert done.err == "3 devices: 3 done\n"
    assert (sorted(street.called), street.most_at_once) == ([(a, 1), (b, 1), (c, 1)], 2)

    street.called.clear()
    words = (f"channel={STUCK}", "--max-in-flight", "1", "--stop-after-failures", "1")
    code, results, counts = await street.north(*words)
    assert (code, counts) == (1, summary(failed=1, skipped=1))
    assert [results[a]["outcome"], results[b]["outcome"]] == ["failed", "skipped"]
    assert results[a]["text"] == "RuntimeError: it is stuck"
    assert street.called == [(a, STUCK)]


async def test_a_device_that_is_away_is_skipped_or_waited_for(street: Street) -> None:
    a, b, _ = street.ids
    await street.agents[1].__aexit__(None, None, None)
    code, results, counts = await street.north("channel=1")
    assert (code, counts) == (8, summary(done=1, skipped=1))
    assert (results[a]["outcome"], results[b]["outcome"]) == ("done", "skipped")
    street.called.clear()
    async with street.site.controller(street.house) as controller:
        await controller.wait_for(b, online=None, timeout=PATIENCE)
        waiting = asyncio.create_task(street.north("channel=2", "--ttl", "30s"))
        await until(lambda: (a, 2) in street.called, "the one that is there")
        assert [(each.device, each.state) for each in await controller.commands(state="queued")] == [
            (b, "queued")
        ]
        await street.agents[1].__aenter__()
        code, results, counts = await waiting
        assert (code, counts) == (0, summary(done=2))
        assert results[b]["result"] is False
        assert sorted(street.called) == [(a, 2), (b, 2)]


async def test_a_long_command_shows_how_far_it_is(street: Street) -> None:
    ours, theirs = pty.openpty()
    words = ("-m", "iotxmpp", "call", street.ids[2], "move", "-a", "house.toml")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        env={**street.terminal.environment, "TERM": "xterm", "COLUMNS": "120"},
        cwd=street.terminal.home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    screen = asyncio.create_task(asyncio.to_thread(read_all, ours))
    out, _ = await process.communicate()
    shown = await screen
    assert (process.returncode, out) == (0, b"moved\n")
    steps = [f"step {step} of 4" in shown for step in range(1, 5)]
    assert sum(steps) >= 3, shown  # the last may be over before it is drawn
    assert "move" in shown
