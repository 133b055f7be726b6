"""Commands and their answers as elements on the wire."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element, fromstring, tostring

from hypothesis import strategies as st

from iotxmpp.commands import COMMAND_TAG, CommandCall


def over_the_wire(element: Element) -> Element:
    return fromstring(tostring(element))  # noqa: S314  # our own element


CALL = CommandCall(name="water", arguments_json=None, id="c1", expires=None)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def command_element(attributes: Mapping[str, str], *children: Element) -> Element:
    element = Element(COMMAND_TAG, dict(attributes))
    element.extend(children)
    return element


def json_payload(text: str) -> Element:
    element = Element("{urn:xmpp:json:0}json")
    element.text = text
    return element
