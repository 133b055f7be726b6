"""Forms as a client shows and submits them."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from hypothesis import strategies as st
from pydantic import BaseModel

from iotxmpp.arguments import CommandSpec
from iotxmpp.dataforms import FORM_TAG, form_element, read_submitted

DATA = "{jabber:x:data}"
VALIDATE = "{http://jabber.org/protocol/xdata-validate}"


class Point(BaseModel):
    """A place."""

    x: int
    y: float = 0.0


class Mode(Enum):
    """How to."""

    ECO = "eco"
    FULL = "full"


def over_the_wire(element: Element) -> Element:
    return fromstring(tostring(element, "utf-8"))  # noqa: S314  # our own element


def spec_of(function: Callable[..., object], **more: Any) -> CommandSpec:  # noqa: ANN401  # passed on
    return CommandSpec.from_function(function, name="go", **more)


def shown(function: Callable[..., object], **more: Any) -> Element:  # noqa: ANN401  # passed on
    return over_the_wire(form_element(spec_of(function).about(), "go", **more))


def field(form: Element, name: str) -> Element:
    (found,) = (each for each in form.findall(f"{DATA}field") if each.get("var") == name)
    return found


def values(element: Element) -> list[str]:
    return [value.text or "" for value in element.findall(f"{DATA}value")]


def options(element: Element) -> dict[str, str]:
    return {values(option)[0]: option.get("label", "") for option in element.findall(f"{DATA}option")}


def submitted(fields: Mapping[str, str | list[str]], *, typed: str | None = None) -> Element:
    form = Element(FORM_TAG, {"type": "submit"})
    for name, entered in fields.items():
        element = SubElement(form, f"{DATA}field", {"var": name})
        if typed is not None:
            element.set("type", typed)
        for each in [entered] if isinstance(entered, str) else entered:
            SubElement(element, f"{DATA}value").text = each
    return form


def unchanged(form: Element) -> Element:
    """What a client submits whose person changes nothing."""
    return submitted({each.get("var", ""): values(each) for each in form.findall(f"{DATA}field")})


def read(function: Callable[..., object], form: Element, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # passed on
    return read_submitted(over_the_wire(form), spec_of(function).about(), "go", **more)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", '""', '"', '"a"', "[]", "null", " a", "a\nb", "a\r\nb", "\x00", "\ufffe", "true", "\u2028"]
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
