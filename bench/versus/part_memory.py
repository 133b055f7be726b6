"""Memory of a device with five sensors that is idle but for one reading of each a second."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

from report import table

from iotxmpp.addresses import DeviceId
from versus.goals import Goal, Outcome
from versus.processes import open_account, running
from versus.processor import resident_mb
from versus.sides import our_watch, peer_watch
from versus.stage import BUSY, Stage

MOST = 1.5
SECOND = DeviceId("second")

TEXT = """\
The memory of a device's process (RSS, an MB is 1,048,576 bytes) {seconds:g} s after it came online: five
sensors, one reading of each a second, TLS, and an outbox in SQLite with the same durability, from which the
peer deletes what the broker has acknowledged. All four run at the same time, {repetitions} times; medians.
With a command, both serve one with two typed arguments, which the peer checks by pydantic; without one the
peer needs no pydantic, while the agent always has it: its channels, settings and accounts are typed. The goal
is for the pair without a command.
"""

NAMES = (
    "iotxmpp, sensors",
    "aiomqtt, sensors",
    "iotxmpp, sensors and a command",
    "aiomqtt, sensors and a command",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    repetitions: int = 3
    seconds: float = 15.0


QUICK = Sizes(repetitions=1, seconds=5.0)
TINY = Sizes(repetitions=1, seconds=1.0)


async def measure(stage: Stage, sizes: Sizes) -> Outcome:
    """Measures all at once: memory does not hang on the others' work."""
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(sizes.repetitions):
        for name, megabytes in zip(NAMES, await _resident(stage, sizes.seconds), strict=True):
            found[name].append(megabytes)
    ours, peer, ours_commanded, peer_commanded = (median(each) for each in found.values())
    goal = Goal(
        name="agent's RSS, idle with five sensors, against aiomqtt doing the same",
        value=ours / peer,
        unit="times",
        bound=MOST,
        least=False,
        basis=f"{ours:.1f} MB, {peer:.1f} MB; with a command {ours_commanded / peer_commanded:.2f} times",
    )
    rows = [
        (name, f"{median(each):.1f} MB", f"{median(each) / peer:.2f}", "") for name, each in found.items()
    ]
    text = TEXT.format(seconds=sizes.seconds, repetitions=sizes.repetitions)
    return Outcome(
        goals=[goal], text=f"{text}\n{table(('', 'RSS', f'ratio to {NAMES[1]}', ''), rows)}", figures={}
    )


async def _resident(stage: Stage, seconds: float) -> list[float]:
    async with AsyncExitStack() as stack:
        our_store, peer_store = our_watch(stage), peer_watch(stage)
        who = {
            "account": open_account(stage.server.controller),
            "devices": [BUSY, SECOND],
            "store": str(our_store.path),
        }
        await stage.add([SECOND])
        mqtt = stage.mosquitto.identity
        await stack.enter_async_context(running("our_controller", who, state=stage.folder))
        await stack.enter_async_context(
            running("aiomqtt_consumer", mqtt(store=str(peer_store.path)), state=stage.folder)
        )
        ends = []
        for commands, name in ((False, BUSY), (True, SECOND)):
            account = open_account(stage.devices[name])
            what = {"account": account, "outbox": str(stage.file("outbox.db")), "commands": commands}
            ends.append(await stack.enter_async_context(running("our_sensors", what, state=stage.folder)))
            what = mqtt(device=name, outbox=str(stage.file("outbox.db")), commands=commands)
            ends.append(await stack.enter_async_context(running("aiomqtt_sensors", what, state=stage.folder)))
        await asyncio.sleep(seconds)
        for watch in (our_store, peer_store):
            if not watch.now():
                raise RuntimeError(f"{watch.path.name}: no reading came")
        return [resident_mb(end.pid) for end in ends]
