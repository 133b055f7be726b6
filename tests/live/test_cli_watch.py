"""`iotxmpp watch`: which devices it shows, what it tells of them, and when it ends."""

import asyncio
import signal
import sys
from contextlib import suppress

from iotxmpp import Agent
from tests.live.cli_house import agent_file, documents, one_line, saved
from tests.live.site import Site, name_of
from tests.live.terminal import Terminal


async def test_watch_tells_of_a_device_that_nobody_knows(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    device = await home.device("here", house)
    account, here = saved(house, terminal.home, "house"), name_of(device)
    soon, wrong = await asyncio.gather(
        terminal.run("watch", "nosuch", here, "-a", account, "--seconds", "0.5"),
        terminal.run("watch", "No Such", "-a", account),
    )
    assert (soon.code, soon.out) == (6, "")
    waiting, never = soon.err.splitlines()
    assert waiting == "no device nosuch is known yet; waiting for it"
    assert never.startswith(
        "iotxmpp: no device nosuch came in time: check the name with `iotxmpp device list`"
    )
    assert wrong.code == 2
    assert "device id 'No Such': use 1 to 63" in one_line(wrong)
    async with terminal.started("watch", "nosuch", "-a", account) as endless:
        await endless.says("no device nosuch is known yet; waiting for it\n", on="err")
        assert (await endless.end(signal.SIGINT)).code == 0


async def test_watch_shows_the_devices_that_are_asked_for_and_ends_in_time(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    wanted, other = [await home.device(name, house) for name in ("wanted", "other")]
    account, agents = saved(house, terminal.home, "house"), [Agent(wanted), Agent(other)]
    for agent in agents:
        agent.channel("door", type="bool")
        agent.channel("level", type="float", unit="m")
    async with (
        agents[0],
        agents[1],
        terminal.started("watch", "-a", account) as everything,
        terminal.started("watch", name_of(wanted), "-a", account, "--json", "--seconds", "2") as some,
    ):
        await everything.says(f"{name_of(other)}  online: online, 2 sensors\n")
        await some.says('"online"')
        for agent in agents:
            await agent.publish("door", True)
            await agent.publish("level", 1.25)
        await everything.says(f"{name_of(other)}  level 1.25 m\n")
        rows = documents((await some.end()).out)
        assert {row.pop("device") for row in rows} == {name_of(wanted)}
        assert [row for row in rows if "presence" in row] == [
            {"presence": "online", "text": "online, 2 sensors", "problems": []}
        ]
        assert [(row["was"], row["state"], row["why"]) for row in rows if "state" in row] == [
            ("unknown", "online", "presence")
        ]
        readings = [row for row in rows if "channel" in row]
        assert [(row["channel"], row["value"]) for row in readings] == [("door", True), ("level", 1.25)]
        assert (len(rows), rows[2:]) == (4, readings)
        assert f"{name_of(other)}  unknown -> online: presence\n" in everything.out
        assert f"{name_of(wanted)}  door on\n" in everything.out
        ended = await everything.end(signal.SIGINT)
        assert (ended.code, ended.err) == (0, "")


async def test_watch_tells_a_change_of_state_once(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    device = saved(await home.device("greenhouse", house), terminal.home, "greenhouse")
    file = agent_file(terminal.home, device.name)
    file.write_text(file.read_text().replace("every = 0.1", "every = 60\nheartbeat = 0.5"))
    async with (
        terminal.started("agent", "run", file) as agent,
        terminal.started("watch", "-a", saved(house, terminal.home, "house")) as watch,
    ):
        await watch.says("unknown -> online: presence\n")
        agent.process.send_signal(signal.SIGSTOP)
        await watch.says("online -> stale: silent for ")
        ended = await watch.end(signal.SIGINT)
        assert (ended.code, ended.err, ended.out.count("-> stale")) == (0, "", 1)


async def test_watch_prints_each_problem_when_it_comes_and_when_it_is_over(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    device = await home.device("greenhouse", house)
    account, agent, works = saved(house, terminal.home, "house"), Agent(device), asyncio.Event()

    @agent.sensor("temperature", unit="Cel", every=0.05)
    def temperature() -> float:
        if not works.is_set():
            raise OSError("no answer\x9b31m")
        return 21.5

    told = rf"{name_of(device)}  %s: temperature: OSError: no answer\x9b31m" + "\n"
    async with (
        terminal.started("watch", "-a", account) as watch,
        terminal.started("watch", "-a", account, "--json") as rows,
        agent,
    ):
        await watch.says(told % "problem")
        await rows.says('"problems": ["temperature: OSError: no answer\\u009b31m"]')
        works.set()
        await watch.says(told % "over")
        ended = await watch.end(signal.SIGINT)
    assert (ended.out.count("  problem: "), ended.out.count("  over: ")) == (1, 1)


async def test_watch_ends_when_nobody_reads_it_any_more(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    device = await home.device("greenhouse", house)
    account, agent = saved(house, terminal.home, "house"), Agent(device)
    agent.channel("count", type="int")
    script = f"{sys.executable} -m iotxmpp watch --json -a {account} | head -n 1"
    process = await asyncio.create_subprocess_shell(
        f"{{ {script}; }} 2>&1", stdout=asyncio.subprocess.PIPE, env=terminal.environment, cwd=terminal.home
    )
    async with agent:
        while process.returncode is None:
            await agent.publish("count", 1)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.2)
        assert process.stdout is not None
        said = (await process.stdout.read()).decode()
    (row,) = documents(said)
    assert row["device"] == name_of(device)
    assert terminal.left_behind == []
