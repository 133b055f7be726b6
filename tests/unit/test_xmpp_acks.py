"""How a client answers a server's requests for acks (XEP-0198), and what it writes at once."""

import asyncio
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock
from xml.etree.ElementTree import Element, SubElement

import pytest
from pydantic import SecretStr
from slixmpp import ClientXMPP
from slixmpp.plugins.xep_0198.stanza import RequestAck, Resumed

from iotxmpp.account import Account
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.inbox import Inbox
from iotxmpp.xmpp.pubsub import PubSub

SENT_WITHIN = 0.1
EVENT = "{http://jabber.org/protocol/pubsub#event}"


class Written:
    """A client that writes here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        account = Account(jid="greenhouse@example.org", password=SecretStr("secret"), host="127.0.0.1")
        self.client = StrictClient(account, resource=None)
        self.texts: list[str] = []
        transport = Mock(spec=asyncio.Transport)
        transport.is_closing.return_value = False
        monkeypatch.setattr(self.client, "transport", transport)
        monkeypatch.setattr(self.client, "authenticated", True)
        monkeypatch.setattr(self.client, "send_raw", self.texts.append)
        monkeypatch.setattr(self.client, "_session_started", True)

    def enable(self, *, handled: int = 0) -> None:
        management = self.client.plugin["xep_0198"]
        management.enabled_in = management.enabled_out = True
        management.handled = handled

    def asked(self) -> None:
        self.client.recv_stanza(RequestAck(self.client))


def notification(sender: str) -> Element:
    message = Element("{jabber:client}message", {"from": sender, "type": "headline"})
    items = SubElement(SubElement(message, f"{EVENT}event"), f"{EVENT}items", {"node": "iot/hall/readings"})
    SubElement(items, f"{EVENT}item", {"id": "e1.7"}).append(Element("{urn:x}payload"))
    return message


def iq(name: str, **attributes: str) -> Element:
    return Element("{jabber:client}iq", {"id": name, **attributes})


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


async def test_what_comes_is_acknowledged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    transport = Mock(spec=asyncio.Transport)
    transport.is_closing.return_value = False
    monkeypatch.setattr(written.client, "transport", transport)
    written.client._acknowledge_at_once()
    transport.get_extra_info.return_value.setsockopt.assert_called_once_with(
        socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1
    )


@pytest.mark.parametrize("times", [1, 2])
async def test_nothing_is_acknowledged_at_once_after_the_connection_was_closed(
    monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A stream error has slixmpp close it twice; asyncio's TLS transport has lost its protocol then."""
    written = Written(monkeypatch)
    loop = asyncio.get_running_loop()
    tls: Any = SSLProtocol(
        loop, written.client, ssl.create_default_context(), loop.create_future(), server_hostname="localhost"
    )
    transport = tls._get_app_transport()
    for _ in range(times):
        transport.close()
    monkeypatch.setattr(written.client, "transport", transport)
    written.enable()
    written.client._acknowledge_at_once()
    written.client._management.acknowledge()
    written.client.transport = None
    written.client._acknowledge_at_once()
    written.client._management.acknowledge()
    assert written.texts == []


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
        assert name in written.texts[-1]
        await asyncio.sleep(0)
    assert len(written.texts) == len(written.client.plugin["xep_0198"].unacked_queue) == 2


async def test_those_of_one_turn_follow_the_first_together(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    wire: list[bytes] = []
    monkeypatch.delattr(written.client, "send_raw")
    monkeypatch.setattr(written.client.transport, "write", wire.append)
    for name in ("one", "two", "three"):
        written.client.send_iq(iq(name, type="result"))
    assert [piece.count(b"<iq") for piece in wire] == [1]
    await asyncio.sleep(0)
    assert [piece.count(b"<iq") for piece in wire] == [1, 2]
    assert wire[1].index(b"two") < wire[1].index(b"three")
    for name in ("four", "five"):
        written.client.send_iq(iq(name, type="result"))
    written.client.send_raw("last")
    assert [piece.count(b"<iq") for piece in wire[2:]] == [2, 0], "nothing is overtaken"
    await asyncio.sleep(0)
    written.client.send_iq(iq("six", type="result"))
    assert len(wire) == 4, "a turn after one of several gathers, too"
    await asyncio.sleep(0)
    assert [piece.count(b"<iq") for piece in wire[4:]] == [1]
    for name in ("seven", "eight"):
        written.client.send_iq(iq(name, type="result"))
    written.client.transport = None
    await asyncio.sleep(0)
    assert [piece.count(b"<iq") for piece in wire[5:]] == [1], "one alone goes at once again"
    assert b"seven" in wire[5], "what was not written is lost with the connection"


async def test_a_stanza_overtakes_nothing_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    written.client.send(RequestAck(written.client))
    stanza = written.client.Message()
    written.client.send(stanza)
    assert written.texts == []
    queue = written.client.waiting_queue
    assert [queue.get_nowait()[0] for _ in range(2)][1] is stanza


@pytest.mark.parametrize(("most", "size"), [(5, 10_000), (100, 100)])
async def test_a_request_for_an_ack_goes_with_its_stanza_after_it(
    monkeypatch: pytest.MonkeyPatch, most: int, size: int
) -> None:
    monkeypatch.setattr("iotxmpp.xmpp.management._ASK_AFTER", most)
    monkeypatch.setattr("iotxmpp.xmpp.management._ASK_AFTER_SIZE", size)
    written = Written(monkeypatch)
    wire: list[bytes] = []
    monkeypatch.delattr(written.client, "send_raw")
    monkeypatch.setattr(written.client.transport, "write", wire.append)
    written.enable()
    for number in range(10):  # of 27 characters
        written.client.send_iq(iq(f"n{number}", type="result"))
        await asyncio.sleep(0)
    asking = [number for number, piece in enumerate(wire) if b"urn:xmpp:sm:3" in piece]
    assert asking == ([4, 9] if most == 5 else [3, 7])
    last = wire[asking[0]].decode()
    assert last.index(f"n{asking[0]}") < last.index("urn:xmpp:sm:3")


async def test_each_iq_that_comes_is_counted_once_whoever_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    written.enable()
    handled: list[tuple[str, int]] = []
    management = written.client.plugin["xep_0198"]

    def take(element: Element) -> Callable[[], None] | None:
        name = element.get("id", "")
        return (lambda: handled.append((name, management.handled))) if name.startswith("ours") else None

    written.client.take_iqs(take)
    for name in ("ours 1", "theirs", "ours 2"):
        written.client._spawn_event(iq(name, type="result", **{"from": "house@example.org"}))
    assert handled == [("ours 1", 1), ("ours 2", 3)]
    assert management.handled == 3


async def test_a_taker_that_raises_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = Written(monkeypatch)
    written.enable()

    def fail() -> None:
        raise ValueError("no good")

    written.client.take_iqs(lambda _iq: fail)
    written.client._spawn_event(iq("one", type="result"))
    assert "no good" in caplog.text
    assert written.client.plugin["xep_0198"].handled == 1


async def test_an_iq_of_nobody_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    taken: list[Element] = []
    written.client.take_iqs(lambda element: lambda: taken.append(element))
    for sender in ("@@", "house@example.org"):
        written.client._spawn_event(iq("one", type="set", **{"from": sender}))
    assert [element.get("from") for element in taken] == ["house@example.org"]


async def test_a_resumed_session_sends_answers_again_and_no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    written.enable()
    for name, kind in (("first", "result"), ("request", "set"), ("answer", "error")):
        written.client.send_iq(iq(name, type=kind))
    management = written.client.plugin["xep_0198"]
    management.sm_id = "the session's"
    resumed = Resumed(written.client)
    resumed["h"] = 1
    written.client.recv_stanza(resumed)
    assert [stanza.xml.get("id") for _, stanza in management.unacked_queue] == ["answer"]
    again, _ = written.client.waiting_queue.get_nowait()
    assert str(again) == '<iq id="answer" type="error" />'
    assert written.client.waiting_queue.empty()


async def test_a_notification_is_counted_and_put_into_the_inbox_in_its_order(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = Written(monkeypatch)
    written.enable()
    inbox = Mock(spec=Inbox)
    PubSub(Mock(), inbox).attach(written.client)
    plain = Mock()
    monkeypatch.setattr(ClientXMPP, "recv_stanza", plain)
    caplog.set_level("DEBUG", "slixmpp.xmlstream.xmlstream")
    for sender in ("pubsub.example.org", "two@signs@example.org", "pubsub.example.org"):
        written.client._spawn_event(notification(sender))
    assert written.client.plugin["xep_0198"].handled == 2
    assert [call.args[1].id for call in inbox.put.call_args_list] == ["e1.7", "e1.7"]
    assert sum("RECV" in record.message for record in caplog.records) == 2
    refused = notification("pubsub.example.org")
    refused.set("type", "error")
    written.client._spawn_event(refused)
    assert (inbox.put.call_count, plain.call_count) == (2, 2), "what nobody takes goes slixmpp's way"


@pytest.mark.parametrize("handled", ["2", "3"])
async def test_an_ack_of_the_server_lets_go_of_what_it_has(
    monkeypatch: pytest.MonkeyPatch, handled: str
) -> None:
    written = Written(monkeypatch)
    written.enable()
    for number in range(3):
        written.client.send_iq(iq(f"n{number}", type="result"))
    management = written.client.plugin["xep_0198"]
    plain = Mock()
    monkeypatch.setattr(ClientXMPP, "recv_stanza", plain)
    written.client._spawn_event(Element("{urn:xmpp:sm:3}a", {"h": handled}))
    assert [seq for seq, _ in management.unacked_queue] == [1, 2, 3][int(handled) :]
    assert (management.last_ack, plain.call_count) == (int(handled), 0)


@pytest.mark.parametrize("handled", ["4", "-1", "x", "", str(2**32), "9" * 5000])
async def test_an_ack_that_makes_no_sense_is_left_to_slixmpp(
    monkeypatch: pytest.MonkeyPatch, handled: str
) -> None:
    written = Written(monkeypatch)
    written.enable()
    for number in range(3):
        written.client.send_iq(iq(f"n{number}", type="result"))
    plain = Mock()
    monkeypatch.setattr(ClientXMPP, "recv_stanza", plain)
    written.client._spawn_event(Element("{urn:xmpp:sm:3}a", {"h": handled}))
    assert len(written.client.plugin["xep_0198"].unacked_queue) == 3
    assert plain.call_count == 1
