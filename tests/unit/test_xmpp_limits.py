"""What the features of a stream say of the server's limits (XEP-0478)."""

from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.link import LinkLimits
from iotxmpp.xmpp.limits import ENVELOPE, LEAST, LIMITS, MAX_BYTES, largest_payload, limits_of
from iotxmpp.xmpp.stanzas import MAX_PAYLOAD_BYTES


def features(inside: str) -> Element:
    stream = "http://etherx.jabber.org/streams"
    return fromstring(f'<stream:features xmlns:stream="{stream}">{inside}</stream:features>')  # noqa: S314  # our own


def said(max_bytes: str) -> Element:
    return features(
        f'<limits xmlns="urn:xmpp:stream-limits:0"><max-bytes>{max_bytes}</max-bytes>'
        "<idle-seconds>840</idle-seconds></limits>"
    )


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (said("262144"), 262_144),
        (said(" 65536\n"), 65_536),
        (said("10000"), LEAST),
        (said("0"), LEAST),
        (said("999999999999"), 999_999_999_999),
        (said(""), None),
        (said("-1"), None),
        (said("1e6"), None),
        (said("٣٠٠٠٠"), None),
        (said("9" * 5000), None),
        (features('<limits xmlns="urn:xmpp:stream-limits:0"/>'), None),
        (features('<limits xmlns="urn:xmpp:stream-limits:1"><max-bytes>9</max-bytes></limits>'), None),
        (features(""), None),
    ],
)
def test_what_features_say(element: Element, expected: int | None) -> None:
    assert limits_of(element) == LinkLimits(stanza_bytes=expected)


@given(st.text())
def test_any_text_gives_limits(text: str) -> None:
    element = Element("features")
    limits = Element(LIMITS)
    limits.append(Element(MAX_BYTES))
    limits[0].text = text
    element.append(limits)
    assert (limits_of(element).stanza_bytes or LEAST) >= LEAST


@pytest.mark.parametrize(
    ("stanza_bytes", "payload"),
    [(None, MAX_PAYLOAD_BYTES), (10**9, MAX_PAYLOAD_BYTES), (30_000, 30_000 - ENVELOPE), (LEAST, 7856)],
)
def test_the_largest_payload_leaves_room_for_its_envelope(stanza_bytes: int | None, payload: int) -> None:
    assert largest_payload(LinkLimits(stanza_bytes=stanza_bytes)) == payload
