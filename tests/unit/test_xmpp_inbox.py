"""The inbox: one at a time, in order, with back-pressure."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from iotxmpp.xmpp.inbox import Inbox

FULL = 10


class Socket:
    """Counts how often it was told to wait and to go on."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


class Gate:
    """A handler that keeps what it got, and waits where it is told to."""

    def __init__(self) -> None:
        self.got: list[object] = []
        self.running = 0
        self.most_at_once = 0
        self.came = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, what: object) -> None:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        await self.open.wait()
        await asyncio.sleep(0)
        self.got.append(what)
        self.came.set()
        self.running -= 1
        if what == "bad":
            raise RuntimeError("a handler that raises")

    async def until(self, number: int) -> None:
        async with asyncio.timeout(2):
            while len(self.got) < number:
                self.came.clear()
                await self.came.wait()


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
async def inbox(socket: Socket) -> AsyncIterator[Inbox]:
    inbox = Inbox(pause=socket.pause, resume=socket.resume, full=FULL)
    inbox.start()
    yield inbox
    await inbox.stop()


async def test_one_at_a_time_in_the_order_of_arrival(inbox: Inbox) -> None:
    first, second = Gate(), Gate()
    second.got, second.came = first.got, first.came
    for number in range(20):
        inbox.put(second if number % 2 else first, number)
    await first.until(20)
    assert first.got == list(range(20))
    assert first.most_at_once == second.most_at_once == 1


async def test_a_raising_handler_is_logged_and_the_next_goes_on(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    for what in ("a", "bad", "b"):
        inbox.put(gate, what)
    await gate.until(3)
    assert gate.got == ["a", "bad", "b"]
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_the_socket_waits_from_full_to_half(inbox: Inbox, socket: Socket) -> None:
    gate = Gate()
    gate.open.clear()
    inbox.put(gate, "held")
    await asyncio.sleep(0)
    for number in range(FULL - 1):
        inbox.put(gate, number)
    assert (socket.told, inbox.paused) == ([], False)
    inbox.put(gate, "last straw")
    inbox.put(gate, "and one that was read already")
    assert (socket.told, inbox.paused) == (["pause"], True)
    gate.open.set()
    await gate.until(FULL // 2 - 1)
    assert socket.told == ["pause"]
    await gate.until(FULL + 2)
    assert (socket.told, inbox.paused) == (["pause", "resume"], False)


async def test_a_new_socket_waits_as_the_old_one_did(inbox: Inbox, socket: Socket) -> None:
    inbox.release()
    assert socket.told == []
    gate = Gate()
    gate.open.clear()
    for number in range(FULL):
        inbox.put(gate, number)
    inbox.release()
    assert socket.told == ["pause", "pause"]


async def test_what_is_held_waits_and_the_socket_is_read_on(inbox: Inbox, socket: Socket) -> None:
    gate = Gate()
    inbox.hold()
    for number in range(FULL + 1):
        inbox.put(gate, number)
    await asyncio.sleep(0.01)
    assert (gate.got, socket.told) == ([], [])
    inbox.release()
    await gate.until(FULL + 1)
    assert socket.told == ["pause", "resume"]


async def test_stopping_drops_what_waits(socket: Socket) -> None:
    inbox = Inbox(pause=socket.pause, resume=socket.resume, full=FULL)
    gate = Gate()
    gate.open.clear()
    inbox.start()
    for number in range(FULL + 1):
        inbox.put(gate, number)
    await asyncio.sleep(0)
    await inbox.stop()
    assert not inbox.paused
    gate.open.set()
    inbox.start()
    inbox.put(gate, "new")
    await gate.until(1)
    await inbox.stop()
    assert gate.got == ["new"]
    await inbox.stop()
