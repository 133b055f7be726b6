"""The examples, run as they stand, as processes of their own, on a real Prosody that serves example.org."""

import asyncio
import shutil
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path

from iotxmpp import Agent
from iotxmpp.controller import Store
from iotxmpp.xmpp import XmppLink
from tests.live.village import EXAMPLES, HOUSE, PATIENCE, Ears, Village, again_until


async def test_the_greenhouse_tells_its_temperature_and_waters(village: Village, ears: Ears) -> None:
    await village.device("greenhouse")
    await ears.controller.wait_for("greenhouse", online=None)
    async with village.script("greenhouse.py", "greenhouse") as script:
        await ears.until(1)
        assert ears.readings[0] == ("greenhouse/temperature", 31.5, "Cel")
        device = await ears.controller.wait_for("greenhouse")
        assert await device.call("water", seconds=3) == "watered for 3 s"
        assert await script.stop() == 0
        gone = await ears.controller.wait_for("greenhouse", online=False)
        assert gone.presence is not None
        assert gone.presence.text == "stopped, 1 sensor"


async def test_the_controller_says_who_is_there_and_waters_where_it_is_hot(village: Village) -> None:
    agent = Agent(await village.device("greenhouse"))
    agent.channel("temperature", type="float", unit="Cel")
    watered: list[int] = []

    @agent.command
    async def water(seconds: int) -> str:
        watered.append(seconds)
        return f"watered for {seconds} s"

    async with agent, village.script("watch_greenhouse.py", "house") as script:
        await again_until(script.line("greenhouse: 29.9 °C"), lambda: agent.publish("temperature", 29.9))
        await script.line("greenhouse is online")
        await agent.publish("temperature", 30.1)
        await script.line("watered for 20 s")
        assert watered == [20]  # and not at 29.9 °C
        assert await script.stop() == 0


async def test_the_greenhouse_and_its_controller_together(village: Village) -> None:
    link = XmppLink(await village.device("greenhouse"))
    link.admit(HOUSE.__eq__)
    async with village.script("watch_greenhouse.py", "house") as watcher:
        async with link:
            await watcher.line("greenhouse is online")  # so the controller has joined it
        await watcher.line("greenhouse is offline")
        async with village.script("greenhouse.py", "greenhouse"):
            await watcher.line("greenhouse: 31.5 °C")
            await watcher.line("watered for 20 s")
        await watcher.line("greenhouse is offline", times=2)


async def test_several_values_of_one_moment(village: Village, ears: Ears) -> None:
    await village.device("climate")
    device = await ears.controller.wait_for("climate", online=None)
    async with village.script("several_values.py", "climate"):
        await ears.until(3)
        assert sorted(ears.readings) == [
            ("climate/pump/running", True, None),
            ("climate/pump/starts", 1207, "count"),
            ("climate/temperature", 12.5, "Cel"),
        ]
        assert device.about is not None
        assert device.about.site == "cellar"
        assert list(device.about.channels["humidity"].range or ()) == [0, 100]
        first, second = (device.readings[name].time for name in ("pump/running", "pump/starts"))
        assert first == second
    assert await ears.controller.rejections() == []


async def test_a_door_that_calls_back_from_a_thread(village: Village, ears: Ears) -> None:
    await village.device("door")
    await ears.controller.wait_for("door", online=None)
    async with village.script("on_change_door.py", "door"):
        await ears.until(3)
    assert ears.readings[:3] == [
        ("door/open", False, None),
        ("door/open", True, None),
        ("door/open", False, None),
    ]


async def test_a_model_of_ones_own(village: Village, tmp_path: Path) -> None:
    agent = Agent(await village.device("climate"))
    humidities: chain[float] = chain(repeat(64.0))

    @agent.sensor({"temperature": "Cel", "humidity": "%RH"}, every=0.1)
    def climate() -> dict[str, float]:
        return {"temperature": 17.25, "humidity": next(humidities)}

    async with agent, village.script("pydantic_model.py", "house") as script:
        await script.line("climate: 17.2 °C, 64 %, damp")
        humidities = chain([0.5], repeat(44.0))
        await script.line("climate: 17.2 °C, 44 %, fine")
        assert set(script.printed) == {"climate: 17.2 °C, 64 %, damp", "climate: 17.2 °C, 44 %, fine"}
        assert await script.stop() == 0
    with closing(Store(f"sqlite:///{tmp_path}/state/controller.db")) as store:
        (rejection,) = store.rejections()
    assert (rejection.device, rejection.code) == ("climate", "model")
    assert "humidity: Input should be greater than 1" in rejection.error


async def test_a_users_own_test(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "test_my_device.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "test_my_device.py"),
        cwd=tmp_path,
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert b"1 passed" in printed


def test_every_example_is_run_here() -> None:
    text = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_examples*.py"))
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert len(names) > 5
    assert {name for name in names if f'"{name}"' not in text} == set()


def test_every_example_fits_on_a_screen() -> None:
    lengths = {
        path.name: len(path.read_text("utf-8").splitlines()) for path in EXAMPLES.iterdir() if path.is_file()
    }
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}
