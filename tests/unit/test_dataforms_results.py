"""A command's result as a form."""

import json
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given

from iotxmpp.dataforms import result_form
from iotxmpp.errors import ArgumentsError
from tests.unit.forms import DATA, JSON, Point, field, over_the_wire, values


def result(value: object) -> Element:
    form = result_form("Relays", value)
    assert form is not None
    form = over_the_wire(form)
    assert form.get("type") == "result"
    assert form.findtext(f"{DATA}title") == "Relays"
    return form


def test_an_object_is_shown_as_fields() -> None:
    form = result(
        {"on": True, "level": 2.5, "names": ["a", "b"], "inner": {"x": 1}, "bad\x00": "a\nb", "none": None}
    )
    assert [(each.get("var"), each.get("type"), values(each)) for each in form.findall(f"{DATA}field")] == [
        ("on", "boolean", ["1"]),
        ("level", "text-single", ["2.5"]),
        ("names", "text-multi", ["a", "b"]),
        ("inner", "text-single", ['{"x": 1}']),
        ("bad\ufffd", "text-multi", ["a", "b"]),
        ("none", "text-single", [""]),
    ]


def test_a_list_of_objects_is_shown_as_a_table() -> None:
    form = result([{"relay": 1, "on": True}, {"relay": 2, "why": "grün"}])
    reported = form.find(f"{DATA}reported")
    assert reported is not None
    assert [each.get("var") for each in reported] == ["relay", "on", "why"]
    rows = [[values(each)[0] for each in item] for item in form.findall(f"{DATA}item")]
    assert rows == [["1", "true", ""], ["2", "", "grün"]]


@pytest.mark.parametrize(
    ("value", "lines"),
    [("watered", ["watered"]), (0, ["0"]), ([1, "a"], ["1", "a"]), (Point(x=1).y, ["0.0"])],
)
def test_anything_else_is_shown_as_one_field(value: object, lines: list[str]) -> None:
    assert values(field(result(value), "result")) == lines


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_nothing_is_not_shown(value: object) -> None:
    assert result_form("Relays", value) is None


def test_a_long_result_is_cut_and_says_so() -> None:
    form = result([{"n": number} for number in range(300)])
    assert len(form.findall(f"{DATA}item")) == 200
    assert form.findtext(f"{DATA}instructions") == "the first 200 of 300 rows"
    with pytest.raises(ArgumentsError):
        result_form("Relays", object())


@given(JSON)
def test_every_result_can_be_shown(value: object) -> None:
    form = result_form("x", value)
    assert (form is None) == (json.loads(json.dumps(value)) in (None, "", [], {}))
    if form is not None:
        over_the_wire(form)
