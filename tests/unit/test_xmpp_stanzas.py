"""Errors and payloads as XML, and the limits of what may travel."""

from xml.etree.ElementTree import XML, Comment, Element, SubElement

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp.xmlstream import tostring

from iotxmpp.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StanzaError,
    UnreachableError,
)
from iotxmpp.xmltext import check_element
from iotxmpp.xmpp.stanzas import (
    MAX_PAYLOAD_BYTES,
    _at_most,
    checked_payload,
    error_element,
    error_of,
    payload_of,
)

IQ = "{jabber:client}iq"


def over_the_wire(error: StanzaError) -> StanzaError:
    iq = Element(IQ, {"type": "error"})
    SubElement(iq, "{urn:x}what-was-asked")
    iq.append(error_element(error))
    return error_of(XML(tostring(iq)))


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("forbidden", ForbiddenError),
        ("item-not-found", NotFoundError),
        ("conflict", ConflictError),
        ("service-unavailable", UnreachableError),
        ("bad-request", StanzaError),
        ("undefined-condition", StanzaError),
    ],
)
@pytest.mark.parametrize("text", ["", 'too hot: 31 > 30 & "rising"'])
@pytest.mark.parametrize("detail", [None, "{urn:iotxmpp:errors:0}too-hot"])
def test_an_error_comes_back_as_it_was(
    condition: str, kind: type[StanzaError], text: str, detail: str | None
) -> None:
    back = over_the_wire(StanzaError(condition, text, detail))
    assert type(back) is kind
    assert (back.condition, back.text, back.detail) == (condition, text, detail)


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_error_can_travel(condition: str, text: str) -> None:
    back = over_the_wire(StanzaError(condition, text))
    assert back.condition in (condition, "undefined-condition")


def test_an_error_without_its_element_or_condition() -> None:
    assert error_of(Element(IQ)).condition == "undefined-condition"
    assert error_of(XML("<iq xmlns='jabber:client'><error/></iq>")).text == ""


def test_a_huge_text_of_an_error_is_cut() -> None:
    assert len(over_the_wire(StanzaError("bad-request", "x" * 300_000)).text) < 20_000


def test_the_payload_is_the_child_that_is_no_error() -> None:
    iq = Element(IQ)
    assert payload_of(iq) is None
    iq.append(error_element(StanzaError("forbidden")))
    assert payload_of(iq) is None
    payload = SubElement(iq, "{urn:x}x")
    assert payload_of(iq) is payload


def _large(where: str) -> Element:
    payload = Element("{urn:x}x")
    big = "x" * (MAX_PAYLOAD_BYTES + 1)
    if where == "text":
        payload.text = big
    elif where == "tail":
        SubElement(payload, "{urn:x}y").tail = big
    elif where == "attribute":
        payload.set("a", big)
    elif where == "attribute name":
        payload.set(big, "1")
    elif where == "escapes":
        payload.text = '"' * (MAX_PAYLOAD_BYTES // 6 + 1)
    elif where == "UTF-8":
        payload.text = "\N{SNOWMAN}" * (MAX_PAYLOAD_BYTES // 3 + 1)
    elif where == "children":
        payload.extend(Element("{urn:x}y") for _ in range(MAX_PAYLOAD_BYTES // 5))
    elif where == "namespaces":
        payload.extend(Element("{" + "n" * 1000 + "}y") for _ in range(MAX_PAYLOAD_BYTES // 1000))
    return payload


@pytest.mark.parametrize(
    "where",
    ["text", "tail", "attribute", "attribute name", "escapes", "UTF-8", "children", "namespaces"],
)
def test_what_is_too_large_is_refused_wherever_its_bulk_is(where: str) -> None:
    large = _large(where)
    assert len(tostring(large).encode()) > MAX_PAYLOAD_BYTES
    with pytest.raises(InvalidError, match=r"the item: .* bytes on the wire"):
        checked_payload(large, "the item")


def test_what_just_fits_passes() -> None:
    payload = Element("{urn:x}x")
    payload.text = "x" * (MAX_PAYLOAD_BYTES - 100)
    assert checked_payload(payload, "the item") is payload


NAMES = st.sampled_from(["x", "{urn:x}x", "{urn:a-longer-namespace}name", "{urn:é}ü"])
TREES = st.recursive(
    st.builds(lambda tag, text: (tag, text, ()), NAMES, st.text('a"<&é\N{SNOWMAN}', max_size=8)),
    lambda inner: st.builds(
        lambda tag, text, children: (tag, text, children), NAMES, st.text("a'>", max_size=4), st.lists(inner)
    ),
)


def _build(tree: tuple[str, str, tuple[object, ...]]) -> Element:
    tag, text, children = tree
    element = Element(tag, {"a": text})
    element.text = element.tail = text
    element.extend(_build(child) for child in children)  # type: ignore[arg-type]  # a tree of the same kind
    return element


@given(TREES)
def test_the_bound_on_the_size_is_one(tree: tuple[str, str, tuple[object, ...]]) -> None:
    payload = _build(tree)
    assert len(tostring(payload).encode()) <= _at_most(payload)


@pytest.mark.parametrize("bad", ["a b", "", "{urn:x}", "a>b", "{urn:'x}a", "1a", "a\0", "{urn:x}a}b"])
def test_a_name_that_is_none_cannot_travel(bad: str) -> None:
    with pytest.raises(InvalidError):
        check_element(Element(bad), "the payload")
    with pytest.raises(InvalidError):
        check_element(Element("x", {bad: "1"}), "the payload")


def test_a_comment_cannot_travel() -> None:
    payload = Element("x")
    payload.append(Comment("hello"))
    with pytest.raises(InvalidError):
        check_element(payload, "the payload")
