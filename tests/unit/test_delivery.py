"""Acks and gap records on the wire."""

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

from iotxmpp.delivery import HIGHEST, MOST_EPOCHS, MOST_LOST, Ack, Gap, parse_ack, parse_gap
from iotxmpp.errors import InvalidError
from iotxmpp.xmltext import check_element

NS = 'xmlns="urn:iotxmpp:delivery:0"'


def again(element: Element) -> Element:
    return fromstring(tostring(check_element(element, "test")))  # noqa: S314  # our own text


@pytest.mark.parametrize(
    "ack",
    [
        Ack(),
        Ack(again=True),
        Ack(upto={"7f3a": 120, "0-A": 0, "x" * 32: HIGHEST}, again=True),
        Ack(upto={f"e{number}": number for number in range(MOST_EPOCHS)}),
    ],
)
def test_an_ack_comes_back_as_it_was(ack: Ack) -> None:
    assert parse_ack(again(ack.element())) == ack


@pytest.mark.parametrize(
    "gap",
    [
        Gap(epoch="7f3a", reason="full", lost=((1, 1),)),
        Gap(epoch="7f3a", reason="age", lost=((3, 9), (10, 12), (HIGHEST, HIGHEST))),
        Gap(epoch="7f3a", reason="trimmed", lost=tuple((n, n) for n in range(1, MOST_LOST + 1))),
    ],
)
def test_a_gap_record_comes_back_as_it_was(gap: Gap) -> None:
    assert parse_gap(again(gap.element())) == gap
    assert gap.first == gap.lost[0][0]


def test_the_wire_is_as_documented() -> None:
    ack = Ack(upto={"7f3a": 120}, again=True)
    assert tostring(ack.element()) == (
        b'<ns0:ack xmlns:ns0="urn:iotxmpp:delivery:0" again="true">'
        b'<ns0:upto epoch="7f3a" seq="120" /></ns0:ack>'
    )
    assert parse_ack(fromstring(f"<ack {NS}/>")) == Ack()  # noqa: S314  # our own text


MANY = "".join(f'<upto epoch="e{n}" seq="1"/>' for n in range(MOST_EPOCHS + 1))
BAD_ACKS = [
    (f"<gap {NS}/>", "expected"),
    ("<ack/>", "expected"),
    (f'<ack {NS} again="maybe"/>', "true or false"),
    (f'<ack {NS} all="yes"/>', "attribute all is unknown"),
    (f"<ack {NS}>text</ack>", "text"),
    (f'<ack {NS}><upto epoch="e" seq="1"/>text</ack>', "text"),
    (f"<ack {NS}><other/></ack>", "expected"),
    (f'<ack {NS}><upto epoch="e"/></ack>', "seq is missing"),
    (f'<ack {NS}><upto seq="1"/></ack>', "epoch is missing"),
    (f'<ack {NS}><upto epoch="e" seq="1" x="1"/></ack>', "x is unknown"),
    (f'<ack {NS}><upto epoch="e" seq="-1"/></ack>', "seq"),
    (f'<ack {NS}><upto epoch="e" seq="1.0"/></ack>', "seq"),
    (f'<ack {NS}><upto epoch="e" seq="٣"/></ack>', "seq"),
    (f'<ack {NS}><upto epoch="e" seq="{HIGHEST + 1}"/></ack>', "seq"),
    (f'<ack {NS}><upto epoch="e" seq="{"9" * 5000}"/></ack>', "seq"),
    (f'<ack {NS}><upto epoch="" seq="1"/></ack>', "epoch"),
    (f'<ack {NS}><upto epoch="a b" seq="1"/></ack>', "epoch"),
    (f'<ack {NS}><upto epoch="{"e" * 33}" seq="1"/></ack>', "epoch"),
    (f'<ack {NS}><upto epoch="e" seq="1"/><upto epoch="e" seq="2"/></ack>', "twice"),
    (f'<ack {NS}><upto epoch="e" seq="1"><x/></upto></ack>', "empty"),
    (f"<ack {NS}>{MANY}</ack>", "at most"),
]


@pytest.mark.parametrize(("text", "says"), BAD_ACKS)
def test_a_bad_ack_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        parse_ack(fromstring(text))  # noqa: S314  # our own text


def gap(lost: str, attributes: str = 'epoch="e" reason="full"') -> str:
    return f"<gap {NS} {attributes}>{lost}</gap>"


ONE = '<lost first="1" last="2"/>'
BAD_GAPS = [
    (f"<ack {NS}/>", "expected"),
    (gap(ONE, 'reason="full"'), "epoch is missing"),
    (gap(ONE, 'epoch="e"'), "reason is missing"),
    (gap(ONE, 'epoch="e" reason="bored"'), "reason"),
    (gap(ONE, 'epoch="a b" reason="full"'), "epoch"),
    (gap(""), "give 1 to"),
    (gap('<lost first="0" last="2"/>'), "first 0"),
    (gap('<lost first="3" last="2"/>'), "last 2"),
    (gap('<lost first="1"/>'), "last is missing"),
    (gap('<lost first="1" last="5"/><lost first="5" last="6"/>'), "first 5"),
    (gap('<lost first="4" last="5"/><lost first="1" last="2"/>'), "first 1"),
    (gap(f'<lost first="1" last="{HIGHEST + 1}"/>'), "last"),
    (gap(ONE * (MOST_LOST + 1)), "at most"),
    (gap(f"{ONE}text"), "text"),
]


@pytest.mark.parametrize(("text", "says"), BAD_GAPS)
def test_a_bad_gap_record_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        parse_gap(fromstring(text))  # noqa: S314  # our own text


def test_what_cannot_travel_is_not_made() -> None:
    with pytest.raises(InvalidError, match="epoch"):
        Ack(upto={"a b": 1})
    with pytest.raises(InvalidError, match="several acks"):
        Ack(upto={f"e{number}": 1 for number in range(MOST_EPOCHS + 1)})
