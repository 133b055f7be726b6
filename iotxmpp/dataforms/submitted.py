"""Reads a form that a person filled in, as tolerantly as XEP-0004 asks for, into plain values."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element

from iotxmpp.about import CommandAbout
from iotxmpp.arguments import json_value
from iotxmpp.dataforms.fields import ABSENT, MISSING, Field, Kind, fields_of
from iotxmpp.dataforms.tags import FIELD_TAG, FORM_TAG, FORM_TYPE, VALUE_TAG
from iotxmpp.dataforms.texts import unquoted
from iotxmpp.errors import ArgumentsError
from iotxmpp.xmltext import clean_text

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,4000}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_TRUTH: Final = {"1": True, "true": True, "0": False, "false": False}
_SHOWN: Final = 40
_UNASKED: Final = ("hidden", "fixed")


def read_submitted(
    form: Element, about: CommandAbout, name: str, *, only: Sequence[str] | None = None
) -> dict[str, Any]:
    """The arguments in a submitted form, for `CommandSpec.parse`; types and bounds of numbers are checked.

    A field that is absent or empty means null where null is allowed, and the default otherwise; an empty text
    or list where there is a default means itself.

    Args:
        form: The form, of type `submit`.
        about: The command's description.
        name: Its name, for errors.
        only: The arguments of this page; None for all.

    Raises:
        ArgumentsError: A field is missing, unknown, given twice or does not fit; each is named.
        InvalidError: `only` names what is no argument.
    """
    if form.tag != FORM_TAG:
        raise ArgumentsError(f"command {name}: expected a form (XEP-0004)")
    faults: list[str] = []
    lines = _lines(form, about.arguments.get("properties", {}), faults)
    values: dict[str, Any] = {}
    for field in fields_of(about, name, only):
        try:
            value = _value(field, lines.get(field.name))
        except ArgumentsError as error:
            faults.append(f"{field.name}: {error}")
        else:
            if value is not ABSENT:
                values[field.name] = value
    if faults:
        raise ArgumentsError(clean_text(f"command {name}: {'; '.join(faults)}", 2000))
    return values


def _lines(form: Element, known: Mapping[str, object], faults: list[str]) -> dict[str, list[str]]:
    """The values of each field; what nobody asked for is a fault."""
    found: dict[str, list[str]] = {}
    for element in form.findall(FIELD_TAG):
        name = element.get("var", "")
        unasked = element.get("type") in _UNASKED or name in ("", FORM_TYPE)
        if name not in known:
            if not unasked:
                faults.append(f"{_cut(name)}: no such argument; there is {', '.join(known) or 'none'}")
        elif name in found:
            faults.append(f"{name}: given twice")
        else:
            found[name] = [value.text or "" for value in element.findall(VALUE_TAG)]
    return found


def _value(field: Field, lines: list[str] | None) -> Any:  # noqa: ANN401  # what JSON holds
    if lines is None:
        value = field.blank if field.required else ABSENT if field.default is not ABSENT else field.blank
    elif any(line.strip() for line in lines) and not _chose_nothing(field, lines):
        value = _several(field, lines) if field.several else _one(field, lines)
    else:
        value = field.blank
    if value is MISSING:
        raise ArgumentsError("missing; fill it in")
    return value


def _chose_nothing(field: Field, lines: Sequence[str]) -> bool:
    return field.kind == "choice" and not field.required and [line.strip() for line in lines] == [field.none]


def _several(field: Field, lines: Sequence[str]) -> list[Any]:
    entered = [line for line in lines if line.strip()]
    if entered == ["[]"] and "[]" not in field.choices:
        return []
    return [_choice(field, line) if field.kind == "choices" else unquoted(line) for line in entered]


def _one(field: Field, lines: Sequence[str]) -> Any:  # noqa: ANN401  # what JSON holds
    text = "\n".join(lines)
    if field.kind in ("text", "secret"):
        return unquoted(text) if field.kind == "text" else text
    if field.kind == "json":
        return _json(field, text)
    if len(lines) > 1:
        raise ArgumentsError(f"one value, please, not {len(lines)}")
    value = _READERS[field.kind](field, text.strip())
    _check_bounds(field, value)
    return value


def _integer(field: Field, text: str) -> int:
    del field
    if not _INTEGER.fullmatch(text):
        raise ArgumentsError(f"{_cut(text)!r} is no whole number, such as 20")
    return int(text)


def _number(field: Field, text: str) -> int | float:
    del field
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ArgumentsError(f"{_cut(text)!r} is no number, such as 2.5")
    return float(text)


def _boolean(field: Field, text: str) -> bool:
    del field
    value = _TRUTH.get(text.lower())
    if value is None:
        raise ArgumentsError(f"{_cut(text)!r} is neither true nor false")
    return value


def _choice(field: Field, text: str) -> Any:  # noqa: ANN401  # what JSON holds
    for each in (text, text.strip()):
        if each in field.choices:
            return field.choices[each]
    truth = _TRUTH.get(text.strip().lower())
    if truth is not None and set(field.choices) == {"true", "false"}:
        return truth
    raise ArgumentsError(f"{_cut(text)!r} is none of {', '.join(field.choices)}")


def _moment(field: Field, text: str) -> str:
    del field
    return text


_READERS: Final[Mapping[Kind, Callable[[Field, str], Any]]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "choice": _choice,
    "moment": _moment,
}


def _json(field: Field, text: str) -> Any:  # noqa: ANN401  # what JSON holds
    try:
        return json_value(text, "JSON")
    except ArgumentsError:
        if field.bare:
            return text
        raise


def _check_bounds(field: Field, value: Any) -> None:  # noqa: ANN401  # what JSON holds
    for key, bound in field.bounds.items():
        if key == "minimum" and value < bound:
            raise ArgumentsError(f"{_cut(str(value))} is less than {bound:g}")
        if key == "maximum" and value > bound:
            raise ArgumentsError(f"{_cut(str(value))} is more than {bound:g}")
        if key == "exclusiveMinimum" and value <= bound:
            raise ArgumentsError(f"{_cut(str(value))} is not more than {bound:g}")
        if key == "exclusiveMaximum" and value >= bound:
            raise ArgumentsError(f"{_cut(str(value))} is not less than {bound:g}")


def _cut(text: str) -> str:
    return clean_text(text, _SHOWN)
