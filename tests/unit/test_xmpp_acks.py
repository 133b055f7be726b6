"""How a client answers a server's requests for acks (XEP-0198), and what it writes at once."""

import asyncio
from unittest.mock import Mock
from xml.etree.ElementTree import Element

import pytest
from pydantic import SecretStr
from slixmpp.plugins.xep_0198.stanza import RequestAck

from iotxmpp.account import Account
from iotxmpp.xmpp.client import StrictClient

SENT_WITHIN = 0.1


class Written:
    """A client that writes here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        account = Account(jid="greenhouse@example.org", password=SecretStr("secret"), host="127.0.0.1")
        self.client = StrictClient(account, resource=None)
        self.texts: list[str] = []
        monkeypatch.setattr(self.client, "transport", Mock(spec=asyncio.Transport))
        monkeypatch.setattr(self.client, "authenticated", True)
        monkeypatch.setattr(self.client, "send_raw", self.texts.append)
        monkeypatch.setattr(self.client, "_session_started", True)

    def enable(self, *, handled: int = 0) -> None:
        management = self.client.plugin["xep_0198"]
        management.enabled_in = management.enabled_out = True
        management.handled = handled

    def asked(self) -> None:
        self.client.recv_stanza(RequestAck(self.client))


async def test_many_requests_are_answered_by_one_ack_of_all_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Written(monkeypatch)
    written.enable(handled=3)
    for _ in range(5):
        written.asked()
    written.enable(handled=7)
    assert written.texts == []
    await asyncio.sleep(SENT_WITHIN)
    assert len(written.texts) == 1
    assert 'h="7"' in written.texts[0]
    written.asked()
    await asyncio.sleep(SENT_WITHIN)
    assert len(written.texts) == 2


async def test_no_ack_goes_into_a_stream_that_manages_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    written.enable()
    written.asked()
    written.client.plugin["xep_0198"].enabled_in = False  # cut, and connected again
    await asyncio.sleep(SENT_WITHIN)
    assert written.texts == []


async def test_a_stanza_is_written_at_once_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    written.enable()
    for name in ("one", "two"):
        stanza = written.client.Message()
        stanza.xml.append(Element(f"{{urn:x}}{name}"))
        written.client.send(stanza)
    assert [("one" in text, "two" in text) for text in written.texts] == [(True, False), (False, True)]
    assert len(written.client.plugin["xep_0198"].unacked_queue) == 2


async def test_a_stanza_overtakes_nothing_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    written.client.send(RequestAck(written.client))
    stanza = written.client.Message()
    written.client.send(stanza)
    assert written.texts == []
    queue = written.client.waiting_queue
    assert [queue.get_nowait()[0] for _ in range(2)][1] is stanza


async def test_a_request_for_an_ack_goes_with_its_stanza_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    wire: list[bytes] = []
    monkeypatch.delattr(written.client, "send_raw")
    monkeypatch.setattr(written.client.transport, "write", wire.append)
    written.enable()
    for number in range(5):
        iq = written.client.Iq(recv=True)
        iq.xml.attrib = {"type": "result", "id": f"n{number}"}
        written.client.send(iq)
    assert len(wire) == 5
    assert [piece.count(b"urn:xmpp:sm:3") for piece in wire] == [0, 0, 0, 0, 1]
    last = wire[-1].decode()
    assert last.index("n4") < last.index("urn:xmpp:sm:3")
