"""Requests without an answer are given up when each is due, by one timer."""

import asyncio
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.errors import NoAnswerError
from iotxmpp.xmpp.overdue import Overdue, Waiting

SOON, LATER, LONG = 0.02, 0.06, 300.0


def asked(name: str, timeout: float) -> Waiting:
    loop = asyncio.get_running_loop()
    return Waiting(
        to=name, asked=name, timeout=timeout, until=loop.time() + timeout, answer=loop.create_future()
    )


def watched(*timeouts: float) -> tuple[list[Waiting], dict[str, Waiting], Overdue]:
    waiting: dict[str, Waiting] = {}
    overdue = Overdue(waiting)
    for number, timeout in enumerate(timeouts):
        waiting[str(number)] = asked(f"n{number}", timeout)
        overdue.watch(waiting[str(number)])
    return list(waiting.values()), waiting, overdue


async def failed(request: Waiting) -> str:
    with pytest.raises(NoAnswerError) as caught:
        await request.answer
    assert asyncio.get_running_loop().time() >= request.until - 0.001, "not before it is due"
    return str(caught.value)


async def test_each_is_given_up_when_it_is_due_in_whatever_order_they_came() -> None:
    requests, _, overdue = watched(LONG, LATER, SOON)
    assert await failed(requests[2]) == "no answer from n2 within 0.02 s"
    assert not requests[1].answer.done()
    assert await failed(requests[1]) == "no answer from n1 within 0.06 s"
    assert not requests[0].answer.done()
    overdue.stop()


async def test_an_answer_stays_and_what_comes_after_all_ended_is_watched_again() -> None:
    (first,), waiting, overdue = watched(SOON)
    answer = Element("iq")
    first.answer.set_result(answer)
    await asyncio.sleep(2 * SOON)
    assert first.answer.result() is answer
    waiting.clear()
    waiting["again"] = asked("again", SOON)
    overdue.watch(waiting["again"])
    assert await failed(waiting["again"]) == "no answer from again within 0.02 s"


async def test_when_stopped_it_gives_nothing_up() -> None:
    (request,), _, overdue = watched(SOON)
    overdue.stop()
    await asyncio.sleep(2 * SOON)
    assert not request.answer.done()
