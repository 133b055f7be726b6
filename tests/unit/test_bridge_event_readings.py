"""A board's events are published each time they happen, once; its states as long as they can be known."""

import asyncio
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from firmware_bridge.binding import Binding
from firmware_bridge.board import BoardSession
from firmware_bridge.description import Description
from firmware_bridge.events import Counts, Greeted, Happened, Restarted, Sampled, Session, SessionEvent
from firmware_bridge.hearing import Ear
from firmware_bridge.lastvalues import FRESH
from firmware_bridge.link import Link
from firmware_bridge.mailbox import MOST_EVENTS, MOST_WAITING, Mailbox, Packet
from iotxmpp import Agent
from iotxmpp.agent.drivers import Sample
from iotxmpp.agent.feeding import A_SECOND, BURST
from iotxmpp.readings import Value
from tests.unit.agent_house import House
from tests.unit.board_agent import OFTEN, Served, Told
from tests.unit.pty_house import plugged, profile, until
from tests.unit.scripted_driver import PROFILE, Pushed, problems

RHYTHMS: list[dict[str, Any]] = [
    {},
    {"every": OFTEN},
    {"every": 3600},
    {"on_change": True, "every": OFTEN, "at_least": OFTEN},
    {"on_change": True, "every": 3600},
]
"""What a profile may say of a channel; all but the first were a fault of their own."""

PRESSES: dict[str, tuple[str, list[Value]]] = {
    "rung": ("bool", [True, True, True]),
    "said": ("str", ["long", "long", "long"]),
    "counted": ("int", [1, 2, 3]),
}


@pytest.mark.parametrize("rhythm", RHYTHMS, ids=str)
@pytest.mark.parametrize("level", [0, 1])
async def test_each_press_is_published_once_with_its_time(
    house: House, tmp_path: Path, level: int, rhythm: dict[str, Any]
) -> None:
    told = Told(level, {"light": "int"})
    readings = {name: {"type": kind, **rhythm} for name, (kind, _) in PRESSES.items()}
    served = Served(house, tmp_path / "tty0", readings | {"light": {"type": "int", "on_change": True}})
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            begun = time.time()
            for _ in range(3):
                for name in PRESSES:
                    told.happen(port, name, "long")
                told.report(port, light=1)
            await until(lambda: all(len(house.values(name)) >= 3 for name in PRESSES), 20)
            ended = time.time()
            await asyncio.sleep(8 * OFTEN)
            told.report(port, light=2)
            await until(lambda: 2 in house.values("light"), 20)
    assert {name: house.values(name) for name in PRESSES} == {
        name: each for name, (_, each) in PRESSES.items()
    }
    times = [each.time for each in house.readings if each.channel in PRESSES]
    assert all(at is not None and begun - 1 < at < ended + 1 for at in times)


async def test_each_press_counts_as_a_float_too(house: House, tmp_path: Path) -> None:
    told = Told(0, {})
    served = Served(house, tmp_path / "tty0", {"rung": {"type": "float", "every": OFTEN}})
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            told.happen(port, "rung")
            told.happen(port, "rung")
            await until(lambda: len(house.values("rung")) >= 2, 20)
            await asyncio.sleep(4 * OFTEN)
    assert house.values("rung") == [1.0, 2.0]


async def test_a_press_that_counts_from_one_again_after_a_replug_is_published(
    house: House, tmp_path: Path
) -> None:
    path = tmp_path / "tty0"
    served = Served(house, path, {"rung": {"type": "int", "on_change": True, "every": 3600}})
    async with served.agent:
        for times in (1, 2):
            told = Told(0, {})
            with plugged(told.board, path) as port:
                await served.ready()
                told.happen(port, "rung")
                await until(lambda times=times: house.values("rung") == [1] * times, 20)  # type: ignore[misc]  # its own times
            await until(partial(served.tells, "plug the board in"), 20)


async def test_forty_presses_that_come_at_once_are_forty(house: House, tmp_path: Path) -> None:
    told = Told(0, {})
    served = Served(house, tmp_path / "tty0", {"rung": {"type": "bool", "on_change": True, "every": 3600}})
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            port.write(b"!rung\n" * 40)
            await until(lambda: len(house.values("rung")) == 40, 20)
            assert problems(served.agent) == ()


@pytest.mark.parametrize("level", [0, 1])
async def test_a_state_is_given_again_until_the_board_starts_anew_and_says_it_again(
    house: House, tmp_path: Path, level: int
) -> None:
    told = Told(level, {"relay": "bool"})
    readings = {"relay": {"type": "bool", "every": OFTEN}, "rung": {"type": "bool"}}
    served = Served(house, tmp_path / "tty0", readings)
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            told.report(port, relay=True)
            await until(lambda: len(house.values("relay")) >= 4, 20)
            told.restart(port)
            await until(lambda: served.drivers[-1]._link.session.counts.restarts == 1, 20)  # type: ignore[union-attr]  # it is open
            await served.ready()
            await asyncio.sleep(2 * OFTEN)
            before = len(house.values("relay"))
            for _ in range(4):
                told.happen(port, "rung")
                await asyncio.sleep(2 * OFTEN)
            assert len(house.values("relay")) == before
            told.report(port, relay=False)
            await until(lambda: house.values("relay")[-1] is False, 20)


async def test_a_state_of_another_board_is_not_given_again(house: House, tmp_path: Path) -> None:
    told = Told(0, {"relay": "bool"})
    readings = {"relay": {"type": "bool", "every": OFTEN}, "rung": {"type": "bool"}}
    served = Served(house, tmp_path / "tty0", readings)
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            told.report(port, relay=True)
            await until(lambda: len(house.values("relay")) >= 4, 20)
            port.write(b"@hello id=other-1 name=other version=1.0.0\n!rung\n")
            await until(lambda: house.values("rung") == [True], 20)
            await asyncio.sleep(2 * OFTEN)
            before = len(house.values("relay"))
            await asyncio.sleep(6 * OFTEN)
            assert len(house.values("relay")) == before


async def test_a_channel_may_have_both_a_state_and_events(house: House, tmp_path: Path) -> None:
    told = Told(0, {"door": "bool"})
    readings = {"door": {"type": "bool", "on_change": True, "every": 3600}}
    served = Served(house, tmp_path / "tty0", readings)
    with plugged(told.board, tmp_path / "tty0") as port:
        async with served.agent:
            await served.ready()
            told.report(port, door=False)
            told.happen(port, "door")
            told.report(port, door=False)
            told.happen(port, "door")
            told.report(port, door=True)
            await until(lambda: len(house.values("door")) >= 4, 20)
    assert house.values("door") == [False, True, True, True]


async def test_an_event_of_any_driver_passes_the_gate_and_leaves_the_state_as_it_is(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    agent = agent_of(driver, PROFILE.replace("every = 0.02", "every = 3600"))
    async with agent:
        driver.push(door=True, temperature=20.0)
        for value in (20.0, 20.0):
            driver.news.put_nowait(Sample(values={"door": True, "temperature": value}, is_event=True))
        driver.push(door=True, temperature=21.0, said="done")
        await until(lambda: house.values("said") == ["done"], 20)
    assert house.values("door") == [True] * 3
    assert house.values("temperature") == [20.0] * 3


async def test_a_flood_of_events_is_left_out_as_before(agent_of: Callable[..., Agent], house: House) -> None:
    driver = Pushed()
    agent = agent_of(driver)
    async with agent:
        for _ in range(3 * BURST):
            driver.news.put_nowait(Sample(values={"said": "now"}, is_event=True))
        flood = f"said: changes more than {A_SECOND:g} times a second; some are left out"
        await until(lambda: flood in problems(agent), 20)
        await until(lambda: len(house.values("said")) >= BURST, 20)
    assert len(house.values("said")) < 2 * BURST


async def _taken(mailbox: Mailbox, count: int) -> list[Packet]:
    return [await mailbox.take() for _ in range(count)]


async def test_a_flood_of_values_takes_no_event_with_it() -> None:
    mailbox = Mailbox()
    ring = [Packet(values={"rung": True}, at=float(number), is_event=True) for number in (5, 9)]
    values = [Packet(values={"light": number}, at=float(number)) for number in range(100)]
    mailbox.put([*values[:50], *ring, *values[50:]])
    assert await _taken(mailbox, 3) == [*ring, Packet(values={"light": 99}, at=99.0)]
    assert mailbox.dropped == 99


async def test_events_that_nobody_takes_are_limited_for_each_channel_and_counted() -> None:
    mailbox = Mailbox()
    one = Packet(values={"seldom": True}, at=1.0, is_event=True)
    mailbox.put([one])
    for number in range(2 * MOST_WAITING):
        mailbox.put([Packet(values={"often": number}, at=2.0, is_event=True)])
    first = await mailbox.take()
    assert first == one
    kept = 0
    last: object = None
    while mailbox._waiting:
        last = (await mailbox.take()).values["often"]
        kept += 1
    assert MOST_EVENTS <= kept <= MOST_WAITING
    assert last == 2 * MOST_WAITING - 1
    assert mailbox.dropped == 2 * MOST_WAITING - kept


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=1000.0)
    made.monotonic = made.time = lambda: made.now
    monkeypatch.setattr("firmware_bridge.hearing.time", made)
    return made


class Heard:
    """An ear at a link, without a port."""

    def __init__(self, silence: float = 0.0) -> None:
        kind = profile(readings=READINGS, commands={})
        self._ear = Ear(Binding(kind), silence, kind)
        self.hear = self._ear.at("tty", None)
        self._ear.serve(Link("tty", BoardSession(), self.hear))

    def known(self, now: float, session: Session | None = None) -> dict[str, Value | OSError]:
        return self._ear.known(session, now)

    async def told(self) -> Packet:
        return await self._ear.mailbox.take()


READINGS = {
    "relay": {"type": "bool"},
    "light": {"type": "int"},
    "level": {"type": "int", "unit": "lx"},
}
SAID = Sampled(values={"relay": True, "light": 3}, at=1.0)
NAMED = Greeted(level=0, id="a-1", name="a")


async def test_an_event_is_not_known_afterwards(clock: SimpleNamespace) -> None:
    heard = Heard()
    heard.hear([Happened(name="relay", text="", at=1.0), Happened(name="light", text="", at=1.0)])
    assert heard.known(clock.now) == {}


async def test_a_state_is_known_while_the_board_is_heard_and_a_number_for_a_while(
    clock: SimpleNamespace,
) -> None:
    heard = Heard()
    heard.hear([SAID])
    assert heard.known(clock.now + FRESH) == {"relay": True, "light": 3}
    clock.now += FRESH + 1
    heard.hear([Happened(name="bell", text="", at=1.0)])
    assert heard.known(clock.now) == {"relay": True}
    assert heard.known(clock.now + FRESH + 1) == {}


@pytest.mark.parametrize(
    ("before", "seconds", "then", "is_known"),
    [
        (NAMED, 1.0, [Restarted(boot=2), NAMED], False),
        (Greeted(level=0), 60.0, [NAMED], False),  # it did not say it when it was asked, so it started
        (Greeted(level=0), 1.0, [NAMED], True),  # the answer to the question
        (Greeted(level=0), 1.0, [Greeted(level=1, id="a-1")], False),  # other firmware
        (NAMED, 60.0, [NAMED], True),
    ],
)
async def test_which_hello_makes_a_state_forgotten(
    clock: SimpleNamespace, before: Greeted, seconds: float, then: list[SessionEvent], *, is_known: bool
) -> None:
    heard = Heard()
    heard.hear([before, SAID])
    clock.now += seconds
    heard.hear(then)
    assert heard.known(clock.now).get("relay") is (True if is_known else None)
    heard.hear([SAID])
    assert heard.known(clock.now) == {"relay": True, "light": 3}


async def test_a_board_of_events_alone_is_not_silent(clock: SimpleNamespace) -> None:
    heard = Heard(silence=2.0)
    assert set(heard.known(clock.now + 3)) == {"light", "level"}
    heard.hear([Happened(name="light", text="", at=1.0)])
    assert heard.known(clock.now + 100) == {}


async def test_an_event_named_like_what_is_measured_is_no_value_of_it(clock: SimpleNamespace) -> None:
    heard = Heard()
    heard.hear([SAID])
    for name in ("light", "level"):
        heard.hear([Happened(name=name, text="too much", at=1.0)])
    heard.hear([Sampled(values={"light": 4}, at=2.0)])
    assert [(await heard.told()).values for _ in range(2)] == [{"relay": True, "light": 3}, {"light": 4}]
    assert heard.known(clock.now) == {"relay": True, "light": 4}


async def test_a_state_in_frames_is_known_as_long_as_the_link(clock: SimpleNamespace) -> None:
    heard = Heard()
    heard.hear([SAID])
    described = Description(channels=(), commands=())
    session = cast("Session", SimpleNamespace(description=described, counts=Counts()))
    assert heard.known(clock.now + 10 * FRESH, session) == {"relay": True}


def test_events_of_many_channels_are_looked_through_now_and_then_alone() -> None:
    class Counting(Mailbox):
        merges = 0

        def _merged(self, packets: Collection[Packet]) -> list[Packet]:
            self.merges += 1
            return super()._merged(packets)

    mailbox = Counting()
    for count in range(20_000):
        mailbox.put([Packet(values={f"e{count % 200}": count}, at=1.0, is_event=True)])
    assert mailbox.merges < 20
