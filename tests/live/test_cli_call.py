"""`iotxmpp call`: what it prints, with which code it ends, and what a device cannot do to the terminal."""

import asyncio
import signal

from iotxmpp import Agent
from iotxmpp.link import Item
from tests.contract.world import Collected
from tests.live.cli_house import one_line, saved
from tests.live.site import Site, name_of, nodes_of
from tests.live.terminal import Terminal


async def test_call(home: Site, terminal: Terminal) -> None:
    house = await home.account("house")
    here, stopped, never = [await home.device(name, house) for name in ("here", "stopped", "never")]
    stranger = saved(await home.account("stranger"), terminal.home, "stranger")
    account, name = saved(house, terminal.home, "house"), name_of(here)
    agent, gone = Agent(here), Agent(stopped)

    @agent.command
    async def water(seconds: int = 10, *, valve: str = "left") -> str:
        return f"{valve}: {seconds} s"

    @agent.command
    def facts() -> dict[str, object]:
        return {"cores": 2, "name": "größe"}

    @agent.command
    def jam() -> None:
        raise RuntimeError("the valve is stuck")

    @agent.command
    async def dawdle() -> None:
        await asyncio.Event().wait()

    @gone.command(name="water")
    def unheard() -> None: ...

    described, watcher = Collected[Item](), await home.link(house)
    await watcher.subscribe(nodes_of(stopped).about, described)
    async with gone:
        await described.count(1)
    expected: dict[tuple[object, ...], tuple[int, str]] = {
        (name_of(stopped), "water"): (8, f"{stopped.jid} is not online; the command was not sent"),
        (name, "water"): (0, "left: 10 s\n"),
        (here.jid, "water", "seconds=20", "valve=7=x y"): (0, "7=x y: 20 s\n"),
        (name, "water", "--json"): (0, '"left: 10 s"\n'),
        (name, "facts"): (0, '{\n  "cores": 2,\n  "name": "größe"\n}\n'),
        (name, "facts", "--json"): (0, '{"cores": 2, "name": "größe"}\n'),
        (name, "water", "seconds=soon"): (2, "seconds"),
        (name, "water", "litres=3"): (2, "litres"),
        (name, "water", "20"): (2, "argument '20': write it as key=value, such as seconds=20"),
        (name, "water", "seconds=1", "seconds=2"): (2, "argument 'seconds' is given twice"),
        (name, "fly"): (6, f"{name} has no command 'fly'; it has: dawdle, facts, jam, water"),
        # Prosody does not say whether there is such a node.
        ("nothing", "water"): (7, "there is no device nothing at pubsub.localhost, or this account may not"),
        (name_of(never), "water"): (8, f"{never.jid} has never been online; the command was not sent"),
        (name, "jam"): (1, "RuntimeError: the valve is stuck"),
        (name, "dawdle", "--timeout", "0.5"): (9, "no answer from"),
    }
    async with agent:
        ended = await asyncio.gather(
            *(terminal.run("call", *arguments, "-a", account) for arguments in expected),
            terminal.run("call", name, "water", "-a", stranger),
        )
    refused = ended.pop()
    assert refused.code == 7
    assert (
        f"there is no device {name} at pubsub.localhost, or this account may not read it: check"
        in one_line(refused)
    )
    for (code, says), each in zip(expected.values(), ended, strict=True):
        assert each.code == code, each
        if code == 0:
            assert (each.out, each.err) == (says, "")
        else:
            assert one_line(each).startswith("iotxmpp: ")
            assert says in each.err


async def test_what_a_device_says_neither_steers_the_terminal_nor_adds_a_line(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    device = await home.device("hostile", house)
    account, name, agent = saved(house, terminal.home, "house"), name_of(device), Agent(device)
    agent.channel("door", type="str")

    @agent.command
    def title() -> str:
        return "x\x1b]0;owned\x07\x9b\u202e"

    @agent.command
    def titles() -> list[str]:
        return ["x\x1b]0;owned\x07\x9b\u202e\n"]

    @agent.command
    def jam() -> None:
        raise RuntimeError("stuck\x9b31m\niotxmpp: all is well\u202e")

    async with agent, terminal.started("watch", name, "-a", account) as watch:
        await watch.says(f"{name}  online: ")
        await agent.publish("door", "open\n10:00:00  attic  online: forged\x9b31m\u202e")
        await agent.publish("door", "shut")
        await watch.says("door shut\n")
        watched = await watch.end(signal.SIGINT)
        ended = await asyncio.gather(
            *(terminal.run("call", name, command, "-a", account) for command in ("title", "titles", "jam"))
        )
    _, _, forging, shut = watched.out.splitlines()  # after its state and its presence
    assert forging.endswith(rf"  {name}  door open\n10:00:00  attic  online: forged\x9b31m\u202e")
    assert shut.endswith(f"  {name}  door shut")
    text, listed, jammed = ended
    assert text.out == "x\\x1b]0;owned\\x07\\x9b\\u202e\n"
    assert listed.out == '[\n  "x\\u001b]0;owned\\u0007\\u009b\\u202e\\n"\n]\n'
    assert r"RuntimeError: stuck\x9b31m\niotxmpp: all is well\u202e" in one_line(jammed)
