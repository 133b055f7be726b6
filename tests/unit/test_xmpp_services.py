"""Requests of others are answered as soon as their handlers have answered, and by tasks of their own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast
from xml.etree.ElementTree import Element, SubElement

import pytest

from iotxmpp.link import Request
from iotxmpp.xmpp.client import StrictClient, Taker
from iotxmpp.xmpp.services import MOST_AT_ONCE, Services

TAG = "{urn:example:1}ask"
CALLER = "house@example.org/desk"


class Client:
    """Gives requests to what serves them, and keeps the answers."""

    def __init__(self) -> None:
        self.sent: list[Element] = []
        self._takers: list[Taker] = []

    def take_iqs(self, taker: Taker) -> None:
        self._takers.append(taker)

    def send_iq(self, iq: Element) -> None:
        self.sent.append(iq)

    def receive(self, number: int) -> bool:
        xml = Element("{jabber:client}iq", {"type": "set", "id": f"{number}", "from": CALLER})
        SubElement(xml, TAG)
        deeds = [deed for taker in self._takers if (deed := taker(xml)) is not None]
        for deed in deeds:
            deed()
        return bool(deeds)


def served(handler: Callable[[Request], Awaitable[Element | None]]) -> tuple[Client, Services]:
    client, services = Client(), Services({})
    services.attach(cast("StrictClient", client), lambda: True)
    services.add(TAG, handler)
    return client, services


async def test_what_needs_not_wait_is_answered_before_the_next_stanza_is_read() -> None:
    async def answer(request: Request) -> Element:
        assert asyncio.current_task() is not asker
        return Element(TAG, {"to": request.sender})

    asker = asyncio.current_task()
    client, _ = served(answer)
    assert client.receive(1)
    (reply,) = client.sent
    assert reply.tag == "{jabber:client}iq"
    assert reply.attrib == {"type": "result", "id": "1", "to": CALLER}
    assert [(child.tag, child.attrib) for child in reply] == [(TAG, {"to": CALLER})]


@pytest.mark.parametrize(("stopped", "level"), [(False, "WARNING"), (True, "DEBUG")])
async def test_only_an_answer_that_a_cut_loses_is_warned_of(
    caplog: pytest.LogCaptureFixture, *, stopped: bool, level: str
) -> None:
    client, services = Client(), Services({})
    services.attach(cast("StrictClient", client), lambda: False)
    if stopped:
        await services.stop()
    with caplog.at_level("DEBUG", "iotxmpp.xmpp"):
        client.receive(1)
    assert client.sent == []
    (record,) = caplog.records
    assert (record.levelname, CALLER in record.message) == (level, True)


async def test_one_that_waits_holds_no_other_up_and_ends_with_the_link() -> None:
    waiting: list[str] = []

    async def answer(_request: Request) -> None:
        if not waiting:
            waiting.append("waits")
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                waiting.append("cancelled")
                raise

    client, services = served(answer)
    client.receive(1)
    client.receive(2)
    assert [reply.get("id") for reply in client.sent] == ["2"]
    await services.stop()
    assert waiting == ["waits", "cancelled"]
    assert len(client.sent) == 1


async def test_of_a_flood_in_one_piece_the_last_are_told_to_come_again() -> None:
    async def answer(_request: Request) -> None:
        return None

    client, _ = served(answer)
    for number in range(MOST_AT_ONCE + 1):
        client.receive(number)
    assert [reply.get("type") for reply in client.sent] == ["result"] * MOST_AT_ONCE + ["error"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    client.receive(-1)
    assert client.sent[-1].get("type") == "result"
