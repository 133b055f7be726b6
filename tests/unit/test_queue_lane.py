"""A queued command does not wait for the answer of a session that is no longer the device's."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.backoff import Backoff
from iotxmpp.controller.queue_lane import Lane, Peer
from iotxmpp.controller.queued import QueuedCommand
from iotxmpp.errors import NoAnswerError

SOON = 5.0


class Deaf:
    """A link on which nobody answers, and the device's session."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(up=True)
        self.asked: list[str] = []
        self.dropped: list[str] = []
        self.session: str | None = "hall@example.org/1"

    async def call(self, to: str, _payload: Element, *, timeout: float) -> Element | None:
        self.asked.append(to)
        try:
            await asyncio.sleep(timeout)
        finally:
            self.dropped.append(to)
        raise NoAnswerError(f"{to}: nothing")

    def device(self) -> Any:  # noqa: ANN401  # what the lane looks at of a device
        seen = SimpleNamespace(status=object(), presence=SimpleNamespace(sender=self.session))
        return SimpleNamespace(
            sessions=SimpleNamespace(current=seen if self.session else None), online=True, about=object()
        )


def lane_of(link: Deaf, **more: Any) -> Lane:  # noqa: ANN401  # a lane's own
    peer = cast("Any", SimpleNamespace(link=link, find=link.device))
    return Lane("hall", cast("Peer", peer), lambda _device: None, **more)


def command() -> QueuedCommand:
    now = time.time()
    return QueuedCommand(
        id="c", device="hall", name="act", arguments={}, created=now, expires=now + 60, updated=now
    )


async def test_the_next_session_ends_the_wait_for_the_last_ones_answer() -> None:
    link = Deaf()
    lane = lane_of(link)
    answer = asyncio.create_task(
        lane._answer(
            command(),
            "hall@example.org/1",
            link.call("hall@example.org/1", Element("command"), timeout=3600),
        )
    )
    await asyncio.sleep(0.01)
    for session in (None, "hall@example.org/1"):  # away, and back in the same session: it may still answer
        link.session = session
        lane.look()
        await asyncio.sleep(0.01)
        assert not answer.done()
    link.session = "hall@example.org/2"
    lane.look()
    with pytest.raises(NoAnswerError, match="has a new session since"):
        await asyncio.wait_for(answer, SOON)
    assert link.dropped == link.asked == ["hall@example.org/1"]


async def test_the_next_session_ends_the_pause_before_it_is_asked_again() -> None:
    link = Deaf()
    lane = lane_of(link, backoff=Backoff(first=3600, longest=3600))
    pause = asyncio.create_task(lane._wait(command(), asked="hall@example.org/1"))
    await asyncio.sleep(0.01)
    assert not pause.done()
    link.session = "hall@example.org/2"
    lane.look()
    await asyncio.wait_for(pause, SOON)
