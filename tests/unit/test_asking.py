"""A device of which the server still shows a dead session is asked at the one that is alive."""

import asyncio
from dataclasses import dataclass, field
from typing import cast
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.controller import asking
from iotxmpp.controller.asking import ask_each
from iotxmpp.controller.sessions import Sessions
from iotxmpp.errors import ForbiddenError, LinkDownError, NoAnswerError, UnreachableError, stanza_error
from iotxmpp.link import Link, Presence
from iotxmpp.status import DeviceStatus

DEAD, LIVE, OTHER = "hall@example.org/dead", "hall@example.org/live", "hall@example.org/other"
STATUS = DeviceStatus(why="heartbeat", heartbeat=30, uptime=5, version="0.1.0", outbox="disk")


@dataclass
class Wire:
    """A link on which each session answers in its way, or not at all."""

    ways: dict[str, Element | Exception]
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    async def call(self, to: str, _payload: Element, *, timeout: float) -> Element | None:
        self.asked.append(to)
        way = self.ways.get(to)
        if way is None:
            try:
                await asyncio.sleep(timeout)
            except asyncio.CancelledError:
                self.dropped.append(to)
                raise
            raise NoAnswerError(f"{to}: nothing")
        if isinstance(way, Exception):
            raise way
        return way

    async def ask(self, *sessions: str, timeout: float = 5) -> Element | None:
        return await ask_each(
            cast("Link", self),
            lambda: sessions,
            Element("q"),
            answered=self.answered.append,
            timeout=timeout,
        )


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "NEXT_AFTER", 0.02)


async def test_the_next_session_is_asked_while_the_first_is_silent() -> None:
    wire = Wire({LIVE: Element("a")})
    answer = await wire.ask(DEAD, LIVE, OTHER)
    assert answer is not None
    assert (wire.asked, wire.answered, wire.dropped) == ([DEAD, LIVE], [LIVE], [DEAD])


async def test_one_that_answers_at_once_is_the_only_one_asked() -> None:
    wire = Wire({LIVE: Element("a")})
    await wire.ask(LIVE, DEAD)
    assert wire.asked == [LIVE]


async def test_a_slow_first_one_may_still_answer() -> None:
    wire = Wire({})
    slow = asyncio.create_task(wire.ask(DEAD, OTHER, timeout=0.2))
    with pytest.raises(NoAnswerError, match="/dead: nothing"):
        await slow
    assert wire.asked == [DEAD, OTHER]
    assert wire.answered == []


async def test_one_that_is_gone_is_passed_over_at_once() -> None:
    wire = Wire({DEAD: UnreachableError("service-unavailable"), LIVE: Element("a")})
    await wire.ask(DEAD, LIVE)
    assert wire.answered == [LIVE]
    with pytest.raises(UnreachableError):
        await wire.ask(DEAD)


async def test_a_refusal_is_an_answer_and_a_link_that_is_down_is_none() -> None:
    wire = Wire({LIVE: stanza_error("forbidden")})
    with pytest.raises(ForbiddenError):
        await wire.ask(LIVE, OTHER)
    assert (wire.asked, wire.answered) == ([LIVE], [LIVE])
    wire = Wire({LIVE: LinkDownError("down")})
    with pytest.raises(LinkDownError):
        await wire.ask(LIVE, OTHER)
    assert (wire.asked, wire.answered) == ([LIVE], [])


async def test_who_comes_meanwhile_is_asked_too() -> None:
    wire, there = Wire({LIVE: Element("a")}), [DEAD]
    asked = asyncio.create_task(
        ask_each(cast("Link", wire), lambda: there, Element("q"), answered=wire.answered.append)
    )
    await asyncio.sleep(0.005)
    there.append(LIVE)
    await asyncio.wait_for(asked, 5)
    assert wire.answered == [LIVE]


async def test_who_gives_up_asks_nobody_any_more() -> None:
    wire = Wire({})
    asked = asyncio.create_task(wire.ask(DEAD, OTHER))
    await asyncio.sleep(0.06)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert wire.dropped == [DEAD, OTHER]


def test_the_session_heard_last_is_the_likeliest() -> None:
    sessions = Sessions("hall@example.org", link_up=True)
    for jid in (LIVE, DEAD):
        sessions.see(Presence(sender=jid), STATUS)
    sessions.see(Presence(sender=OTHER), None)  # a person's client: no device says nothing of itself
    assert sessions.to_ask == [DEAD, LIVE]
    sessions.heard(LIVE)
    sessions.heard("hall@example.org/never seen")
    assert sessions.to_ask == [LIVE, DEAD]
    assert sessions.current is not None
    assert sessions.current.presence.sender == LIVE
    sessions.see(Presence(sender=DEAD, available=False), None)
    assert sessions.to_ask == [LIVE]
