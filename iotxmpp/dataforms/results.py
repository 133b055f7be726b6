"""Shows a command's result to a person: a form of type `result` (XEP-0004 sections 3.1 and 3.4)."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.arguments import json_of
from iotxmpp.dataforms.tags import DATA, FIELD_TAG, FORM_TAG, REPORTED_TAG, VALUE_TAG
from iotxmpp.xmltext import clean_text

_MOST: Final = 200
_MOST_COLUMNS: Final = 20
_LONGEST: Final = 2000


def result_form(title: str, result: object) -> Element | None:
    """The form that shows a result.

    An object becomes fields, a list of objects a table, anything else one field. The first 200 fields or rows
    are shown, and the first 20 columns.

    Args:
        title: The form's title.
        result: What JSON, pydantic or the standard library's types can hold.

    Returns:
        The form; None where there is nothing to show: null, or an empty text, list or object.

    Raises:
        ArgumentsError: JSON cannot hold the result.
    """
    plain = json.loads(json_of(result, "result"))
    if plain is None or plain in ("", [], {}):
        return None
    form = Element(FORM_TAG, {"type": "result"})
    SubElement(form, f"{{{DATA}}}title").text = clean_text(title)
    if isinstance(plain, dict):
        _tell_rest(form, len(plain), "fields")
        form.extend(_field(key, value) for key, value in list(plain.items())[:_MOST])
    elif isinstance(plain, list) and all(isinstance(row, dict) and row for row in plain):
        _tell_rest(form, len(plain), "rows")
        _table(form, plain[:_MOST])
    else:
        if isinstance(plain, list):
            _tell_rest(form, len(plain), "values")
        form.append(_field("result", plain))
    return form


def _table(form: Element, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))[:_MOST_COLUMNS]
    reported = SubElement(form, REPORTED_TAG)
    for column in columns:
        SubElement(reported, FIELD_TAG, {**_named(column), "type": "text-single"})
    for row in rows:
        item = SubElement(form, f"{{{DATA}}}item")
        for column in columns:
            field = SubElement(item, FIELD_TAG, {"var": clean_text(column)})
            SubElement(field, VALUE_TAG).text = _text(row[column]) if column in row else ""


def _field(name: str, value: object) -> Element:
    kind, lines = _shown(value)
    field = Element(FIELD_TAG, {**_named(name), "type": kind})
    for line in lines:
        SubElement(field, VALUE_TAG).text = clean_text(line, _LONGEST)
    return field


def _shown(value: object) -> tuple[str, Iterable[str]]:
    if isinstance(value, bool):
        return "boolean", ["1" if value else "0"]
    if isinstance(value, str) and "\n" in value:
        return "text-multi", value.splitlines()[:_MOST]
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return "text-multi", [_text(each) for each in value[:_MOST]]
    return "text-single", [_text(value)]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return clean_text(text, _LONGEST)


def _named(name: str) -> Mapping[str, str]:
    return {"var": clean_text(name), "label": clean_text(name)}


def _tell_rest(form: Element, count: int, what: str) -> None:
    if count > _MOST:
        SubElement(form, f"{{{DATA}}}instructions").text = f"the first {_MOST} of {count} {what}"
