"""Shows a command's arguments as a form (XEP-0004 section 3), with types and ranges (XEP-0122)."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.about import CommandAbout
from iotxmpp.arguments import json_of
from iotxmpp.dataforms.fields import ABSENT, Field, Kind, fields_of
from iotxmpp.dataforms.tags import DATA, FIELD_TAG, FORM_TAG, VALIDATE, VALUE_TAG
from iotxmpp.dataforms.texts import quoted
from iotxmpp.xmltext import clean_text

_TYPES: Final[Mapping[Kind, str]] = {
    "integer": "text-single",
    "number": "text-single",
    "boolean": "boolean",
    "choice": "list-single",
    "choices": "list-multi",
    "text": "text-single",
    "secret": "text-private",
    "lines": "text-multi",
    "moment": "text-single",
    "json": "text-multi",
}
_LONGEST: Final = 2000
_YES_NO: Final = {"true": "yes", "false": "no"}
_EMPTY_LIST: Final = "[]"


def form_element(  # noqa: PLR0913  # what a form can show
    about: CommandAbout,
    name: str,
    *,
    only: Sequence[str] | None = None,
    given: Mapping[str, Any] | None = None,
    faults: str = "",
    entered: Element | None = None,
) -> Element:
    """The form that asks a person for a command's arguments.

    Args:
        about: The command's description.
        name: Its name.
        only: The arguments of this page, in this order; None for all.
        given: Values to show instead of the defaults.
        faults: What was wrong with the form that was submitted before.
        entered: That form: what was entered is shown again, as it was.

    Raises:
        ArgumentsError: A given value cannot be JSON.
        InvalidError: `only` names what is no argument.
    """
    form = Element(FORM_TAG, {"type": "form"})
    SubElement(form, f"{{{DATA}}}title").text = clean_text(about.title or name)
    for text in (faults, about.description):
        if text:
            SubElement(form, f"{{{DATA}}}instructions").text = clean_text(text, _LONGEST)
    values = json.loads(json_of(dict(given or {}), f"command {name}: arguments"))
    for field in fields_of(about, name, only):
        element = _field(field)
        lines = _entered(entered, field)
        if lines is None:
            lines = _lines(field, values.get(field.name, field.default))
        if not lines and field.kind == "choice" and not field.required:
            lines = [field.none]
        _offer(element, field, lines)
        for line in lines:
            SubElement(element, VALUE_TAG).text = line
        form.append(element)
    return form


def _field(field: Field) -> Element:
    label = f"{field.title or field.name} ({field.unit})" if field.unit else field.title or field.name
    element = Element(
        FIELD_TAG,
        {"var": field.name, "type": _TYPES[field.kind], "label": clean_text(label)},
    )
    help_text = "; ".join(part for part in (field.help, _rules(field)) if part)
    if help_text:
        SubElement(element, f"{{{DATA}}}desc").text = clean_text(help_text, _LONGEST)
    if field.required and field.kind != "choices":
        SubElement(element, f"{{{DATA}}}required")
    if field.datatype:
        _validate(element, field)
    return element


def _validate(element: Element, field: Field) -> None:
    validate = SubElement(element, f"{{{VALIDATE}}}validate", {"datatype": field.datatype})
    bounds = dict(field.bounds)
    if field.kind == "integer":
        if "exclusiveMinimum" in bounds:
            bounds["minimum"] = math.floor(bounds["exclusiveMinimum"]) + 1
        if "exclusiveMaximum" in bounds:
            bounds["maximum"] = math.ceil(bounds["exclusiveMaximum"]) - 1
    limits = {
        name: json.dumps(bounds[key])
        for name, key in (("min", "minimum"), ("max", "maximum"))
        if key in bounds
    }
    # XEP-0122 section 3.2: a range holds its ends; where they are open, the help says so.
    SubElement(validate, f"{{{VALIDATE}}}{'range' if limits else 'basic'}", limits)


def _rules(field: Field) -> str:
    """What a client that does not know XEP-0122 would not tell."""
    words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}
    limits = [f"{words.get(key, 'less than')} {bound:g}" for key, bound in field.bounds.items()]
    form = {"json": "as JSON", "lines": "one a line"}.get(field.kind, "")
    return ", ".join([*limits, form] if form else limits)


def _offer(element: Element, field: Field, lines: Sequence[str]) -> None:
    """The options of a field that lets choose."""
    if not field.choices:
        return
    options = {
        text: _YES_NO.get(text, text) if value in (True, False) else text
        for text, value in field.choices.items()
    }
    if field.kind == "choice" and not field.required:
        options[field.none] = "(none)"
    if _EMPTY_LIST in lines:
        options.setdefault(_EMPTY_LIST, "(empty list)")
    for text, label in options.items():
        option = SubElement(element, f"{{{DATA}}}option", {"label": clean_text(label)})
        SubElement(option, VALUE_TAG).text = text


def _entered(form: Element | None, field: Field) -> list[str] | None:
    if form is None or field.kind == "secret":
        return None
    for element in form.findall(FIELD_TAG):
        if element.get("var") == field.name:
            return [value.text or "" for value in element.findall(VALUE_TAG)]
    return None


def _lines(field: Field, value: Any) -> list[str]:  # noqa: ANN401  # what JSON holds
    """The values that a field shows."""
    if (
        value is ABSENT
        or field.kind == "secret"
        or (value is None and (field.nullable or field.kind != "json"))
    ):
        return []
    if field.kind == "choice":
        return _chosen(field, value)
    if field.several and isinstance(value, list):
        return _list_lines(field, value)
    if isinstance(value, str) and field.kind in ("text", "moment"):
        return [quoted(value, blank=field.blank == "")] if field.kind == "text" else [value]
    return ["1" if value else "0"] if field.kind == "boolean" else [json.dumps(value)]


def _list_lines(field: Field, values: Sequence[Any]) -> list[str]:
    if not values:
        return [] if field.blank == [] else [_EMPTY_LIST]
    if field.kind == "choices":
        return [text for each in values for text in _chosen(field, each)]
    return [json.dumps(each) if each == _EMPTY_LIST else quoted(str(each), blank=False) for each in values]


def _chosen(field: Field, value: object) -> list[str]:
    same = (
        text
        for text, choice in field.choices.items()
        if choice == value and isinstance(choice, bool) == isinstance(value, bool)
    )
    return [text for text in (next(same, None),) if text is not None]
