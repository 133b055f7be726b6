"""What a message's XML says, and which messages are none of ours."""

from collections.abc import Callable
from xml.etree.ElementTree import XML, Element

import pytest
from slixmpp.stanza import Iq
from slixmpp.stanza import Message as MessageStanza

from iotxmpp.link import Message
from iotxmpp.xmpp.messages import _is_message, _message

STAMP = 1767323045.0  # 2026-01-02T03:04:05Z
EVENT = "<event xmlns='http://jabber.org/protocol/pubsub#event'><configuration node='n'/></event>"


def read(inside: str, **attributes: str) -> Message:
    return _message(xml(inside, **attributes))


def xml(inside: str, **attributes: str) -> Element:
    said = " ".join(f"{name}='{value}'" for name, value in attributes.items())
    return XML(f"<message xmlns='jabber:client' {said}>{inside}</message>")  # our own


def stanza(kind: Callable[..., object], element: Element) -> object:
    return kind(xml=element)


def delay(stamp: str) -> str:
    return f"<delay xmlns='urn:xmpp:delay' from='localhost' stamp='{stamp}'/>"


@pytest.mark.parametrize(
    ("kind", "read_as"),
    [("chat", "chat"), ("normal", "normal"), ("headline", "headline"), ("", "normal"), ("news", "normal")],
)
def test_a_message_of_no_known_type_is_normal(kind: str, read_as: str) -> None:
    assert read("<body>a</body>", type=kind).kind == read_as
    assert read("<body>a</body>").kind == "normal"


@pytest.mark.parametrize(
    ("stamps", "sent"),
    [
        ((), None),
        (("2026-01-02T03:04:05Z",), STAMP),
        (("2026-01-02T03:04:05.250Z",), STAMP + 0.25),
        (("2026-01-02T04:04:05+01:00",), STAMP),
        (("2026-01-02T03:04:06Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:07Z"), STAMP),
        (("2026-01-02T03:04:05",), None),
        (("yesterday",), None),
        (("",), None),
        (("yesterday", "2026-01-02T03:04:05Z"), STAMP),
        (("0001-01-01T00:00:00+23:59",), 0.0),
    ],
)
def test_the_oldest_stamp_that_can_be_read_counts(stamps: tuple[str, ...], sent: float | None) -> None:
    message = read("<body>a</body>" + "".join(map(delay, stamps)))
    assert message.sent == sent
    assert message.extensions == ()


def test_the_first_body_counts_and_standard_parts_are_no_extensions() -> None:
    message = read(
        "<subject>s</subject><body>one</body><body xml:lang='de'>eins</body><thread>t</thread>"
        "<x xmlns='urn:x'/>",
        id="m1",
    )
    assert (message.text, message.id) == ("one", "m1")
    assert [it.tag for it in message.extensions] == ["{urn:x}x"]
    with_sender = xml("<body>a</body>", id="m2")
    with_sender.set("from", "a@b/c")
    assert _message(with_sender).sender == "a@b/c"


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<subject>only</subject>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='a@b' id='2'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><store xmlns='urn:xmpp:hints'/>",
        delay("2026-01-02T03:04:05Z"),
    ],
)
def test_what_says_nothing_has_neither_text_nor_extensions(inside: str) -> None:
    message = read(inside, type="chat")
    assert (message.text, message.extensions) == ("", ())


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("<body>a</body>", "error"),
        ("<body>a</body>", "groupchat"),
        (EVENT, "headline"),
        (f"<body>a</body>{EVENT}", "normal"),
        ("<sent xmlns='urn:xmpp:carbons:2'/>", "chat"),
        ("<received xmlns='urn:xmpp:carbons:2'/>", "chat"),
        ("<result xmlns='urn:xmpp:mam:2'/>", ""),
        ("<fin xmlns='urn:xmpp:mam:1'/>", ""),
    ],
)
def test_what_is_none_of_ours_is_not_taken(inside: str, kind: str) -> None:
    assert not _is_message(stanza(MessageStanza, xml(inside, type=kind)))


def test_a_message_is_taken_and_an_iq_is_not() -> None:
    body = xml("<body>a</body>", type="chat")
    assert _is_message(stanza(MessageStanza, body))
    assert not _is_message(stanza(Iq, XML("<iq xmlns='jabber:client'/>")))
