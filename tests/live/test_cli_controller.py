"""`iotxmpp controller`: what it rejects is kept, and its metrics are there to be read."""

import asyncio
import signal
import urllib.request

from iotxmpp import Agent
from iotxmpp.payloads import json_element
from iotxmpp.server.settings import free_port
from tests.live.cli_house import documents, saved
from tests.live.site import PATIENCE, Site, name_of, nodes_of
from tests.live.terminal import Terminal


async def test_controller_run_keeps_what_it_rejects_and_exports_metrics(
    home: Site, terminal: Terminal
) -> None:
    house = await home.account("house")
    device = await home.device("greenhouse", house)
    account, agent = saved(house, terminal.home, "house"), Agent(device)
    agent.channel("temperature", type="float", unit="Cel", range=(-40, 85))
    port = free_port()
    async with agent, terminal.started("controller", "run", "-a", account, "--metrics-port", port) as started:
        await started.says(f"metrics at http://127.0.0.1:{port}/metrics", on="err")
        await started.says(f"device {name_of(device)} joined", on="err")
        link, bad = await home.link(device), '[{"n":"%s/temperature","u":"Cel","t":1.7e9,"v":900}]'
        await link.publish(nodes_of(device).readings, json_element(bad % name_of(device)), item_id="a.1")
        await agent.publish("temperature", 21.5)
        wanted = f'iotxmpp_reading_value{{channel="temperature",device="{name_of(device)}",unit="Cel"}} 21.5'
        await until_metrics(port, wanted)
        await until_metrics(port, f'iotxmpp_rejected_total{{code="range",device="{name_of(device)}"}} 1.0')
        ended = await started.end(signal.SIGTERM)
    assert ended.code == 0
    listed, shown, none = await asyncio.gather(
        terminal.good("controller", "rejected", "-a", account, "--json"),
        terminal.good("controller", "rejected", "-a", account),
        terminal.good("controller", "rejected", "-a", account, "--json", "--device", "another"),
    )
    (row,) = documents(listed)
    assert (row["device"], row["node"], row["item"]) == (
        name_of(device),
        nodes_of(device).readings.node,
        "a.1",
    )
    assert (row["code"], row["publisher"]) == ("range", device.jid)
    assert row["error"] == "channel temperature: 900 is not within -40 to 85"
    assert str(row["error"]) in shown
    assert none == ""
    assert terminal.left_behind == []


async def until_metrics(port: int, wanted: str) -> None:
    """Waits until the metrics have this line."""
    async with asyncio.timeout(PATIENCE):
        while wanted not in (lines := await asyncio.to_thread(scraped, port)):
            await asyncio.sleep(0.05)
            assert lines


def scraped(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text.splitlines()
