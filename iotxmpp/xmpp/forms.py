"""Data forms (XEP-0004) as plain elements: read what a form offers, submit values."""

from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement

DATA: Final = "jabber:x:data"
FORM: Final = f"{{{DATA}}}x"


def fields_of(form: Element) -> set[str]:
    """The names of a form's fields."""
    return {field.get("var", "") for field in form.findall(f"{{{DATA}}}field")} - {""}


def submit(form_type: str, values: Mapping[str, str | Sequence[str]]) -> Element:
    """A filled-in form (XEP-0004 section 3.1), with its FORM_TYPE (XEP-0068)."""
    form = Element(FORM, {"type": "submit"})
    for name, value in {"FORM_TYPE": form_type, **values}.items():
        field = SubElement(form, f"{{{DATA}}}field", {"var": name})
        if name == "FORM_TYPE":
            field.set("type", "hidden")
        for each in (value,) if isinstance(value, str) else value:
            SubElement(field, f"{{{DATA}}}value").text = each
    return form
