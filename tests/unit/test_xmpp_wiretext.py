"""Stanzas are written as slixmpp writes them, to the letter but for quotation marks in text."""

import asyncio
from xml.etree.ElementTree import Element, SubElement, canonicalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from slixmpp.xmlstream import tostring

from iotxmpp.account import Account
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.wiretext import wire_text

CLIENT = "jabber:client"
TEXTS = st.text(st.sampled_from("ab &<>'\"\n°é\U0001f321"), max_size=8)
NAMESPACES = st.sampled_from(["", CLIENT, "urn:x", "urn:x:1"])
KEYS = st.sampled_from(["to", "type", "{http://www.w3.org/XML/1998/namespace}lang", "{urn:x}hint"])


@st.composite
def elements(draw: st.DrawFn, *, depth: int = 3) -> Element:
    namespace, name = draw(NAMESPACES), draw(st.sampled_from(["item", "x"]))
    element = Element(f"{{{namespace}}}{name}" if namespace else name, draw(st.dictionaries(KEYS, TEXTS)))
    element.text, element.tail = draw(st.none() | TEXTS), draw(st.none() | TEXTS)
    if depth:
        element.extend(draw(st.lists(elements(depth=depth - 1), max_size=3)))
    return element


@pytest.fixture(scope="module")
def client() -> StrictClient:
    async def make() -> StrictClient:
        account = Account(jid="greenhouse@example.org", password=SecretStr("secret"), host="127.0.0.1")
        return StrictClient(account, resource=None)

    return asyncio.run(make())


@given(
    st.sampled_from(["iq", "message", "presence"]),
    st.dictionaries(KEYS, TEXTS),
    st.lists(elements(), max_size=3),
)
def test_any_stanza_is_written_as_slixmpp_writes_it(
    client: StrictClient, kind: str, attributes: dict[str, str], children: list[Element]
) -> None:
    stanza = Element(f"{{{CLIENT}}}{kind}", attributes)
    stanza.extend(children)
    ours, theirs = wire_text(stanza), tostring(stanza, xmlns=CLIENT, stream=client, top_level=True)
    assert without_escaped_quotes(ours) == without_escaped_quotes(theirs)
    assert meaning(ours) == meaning(theirs)


def without_escaped_quotes(text: str) -> str:
    return text.replace("&quot;", '"').replace("&apos;", "'")


def meaning(text: str) -> str:
    return canonicalize(f'<stream xmlns="{CLIENT}">{text}</stream>')


def test_what_is_special_in_xml_is_escaped() -> None:
    stanza = Element(f"{{{CLIENT}}}message", {"to": "o'neil@example.org", "id": '1"2&3'})
    SubElement(stanza, "{urn:x}say").text = 'a < b & "c"]]>'
    assert wire_text(stanza) == (
        '<message to="o\'neil@example.org" id="1&quot;2&amp;3">'
        '<say xmlns="urn:x">a &lt; b &amp; "c"]]&gt;</say></message>'
    )
