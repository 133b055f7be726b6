"""The twin on the wire: what is taken, and what is refused."""

import json
from xml.etree.ElementTree import Element, SubElement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.errors import InvalidError
from iotxmpp.payloads import json_element
from iotxmpp.twin import (
    DESIRED_TAG,
    LARGEST_VERSION,
    MOST_SETTINGS,
    Desired,
    Reported,
    Twin,
    changed,
    digest,
    merged,
    parse_desired,
    parse_reported,
    same,
)

NAMES = st.from_regex(r"[a-z][a-z0-9/]{0,8}", fullmatch=True)
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
SETTINGS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(SETTINGS, SETTINGS)
def test_the_changes_lead_from_one_to_the_other(before: dict[str, object], after: dict[str, object]) -> None:
    changes = changed(before, after)
    assert same(merged(before, changes), after)
    assert not any(name in after and same(before.get(name), after[name]) for name in changes)


@given(st.integers(1, LARGEST_VERSION), SETTINGS)
def test_desired_settings_arrive_as_they_were_sent(version: int, settings: dict[str, object]) -> None:
    desired = Desired(lineage="a1b2", version=version, base=version - 1, changes={**settings, "gone": None})
    came = parse_desired(desired.element())
    assert came == desired
    assert same(dict(came.changes), dict(desired.changes))


@given(SETTINGS)
def test_a_report_arrives_as_it_was_sent(settings: dict[str, object]) -> None:
    reported = Reported(lineage="a1", desired=7, version=9, settings=settings, refused={"x": "too much"})
    assert parse_reported(reported.json()) == reported


def desired_element(text: str, **attributes: str) -> Element:
    element = Element(DESIRED_TAG, {"lineage": "a1", "version": "2", "base": "1", **attributes})
    element.append(json_element(text))
    return element


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"version": str(2**63)}, "version: expected a whole number from 0 to 9223372036854775807"),
        ({"version": "9" * 5000}, "version: expected a whole number"),
        ({"version": "-1"}, "version: expected a whole number"),
        ({"version": "1.0"}, "version: expected a whole number"),
        ({"version": "\u0661"}, "version: expected a whole number"),
        ({"version": ""}, "version: expected a whole number"),
        ({"version": "0", "base": "0"}, "a version follows its base"),
        ({"base": "3"}, "a version follows its base"),
        ({"base": "x"}, "base: expected a whole number"),
        ({"lineage": ""}, "lineage: expected 1 to 32"),
        ({"lineage": "a" * 33}, "lineage: expected 1 to 32"),
        ({"lineage": "a b"}, "lineage: expected 1 to 32"),
    ],
)
def test_wrong_versions_are_refused(attributes: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        parse_desired(desired_element("{}", **attributes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps({"a": "x" * 2**20}), "1048585 bytes of JSON, at most 65536 are taken"),
        ('{"a":' + "[" * 500 + "]" * 500 + "}", "nested deeper than 32 levels"),
        ("[" * 60_000, "nested deeper than 32 levels"),
        ("[]", "expected a JSON object"),
        ("no", "no JSON"),
        ('{"a":NaN}', "NaN is not a finite number"),
        ('{"a":1e999}', "not finite"),
        ('{"a":1,"a":2}', "a key twice"),
        ('{"":1}', "no name of a setting"),
        ('{"a\\u0000":1}', "cannot travel in XML"),
        ('{"a":"\\ud800"}', "cannot travel in XML"),
        (json.dumps({"a" * 129: 1}), "no name of a setting"),
        (json.dumps({f"a{n}": 1 for n in range(MOST_SETTINGS + 1)}), "201 settings, at most 200"),
    ],
)
def test_wrong_settings_are_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        parse_desired(desired_element(text))


def test_the_payload_is_one_json_element() -> None:
    none, two, other = (Element(DESIRED_TAG, {"lineage": "a", "version": "1"}) for _ in range(3))
    two.extend([json_element("{}"), json_element("{}")])
    SubElement(other, "{x}y")
    for element in (none, two):
        with pytest.raises(InvalidError, match="expected one <json/>"):
            parse_desired(element)
    with pytest.raises(InvalidError, match=r"payload \{x\}y"):
        parse_desired(other)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"form": 2}, "form"),
        ({"form": True}, "form"),
        ({"lineage": None}, "lineage"),
        ({"lineage": 5}, "lineage"),
        ({"desired": True}, "desired"),
        ({"desired": 2**63}, "desired"),
        ({"version": -1}, "version"),
        ({"version": 1.5}, "version"),
        ({"settings": []}, "settings"),
        ({"settings": {"\n": 1}}, "no name of a setting"),
        ({"refused": {"a": 1}}, "refused"),
        ({"refused": ["a"]}, "refused"),
    ],
)
def test_a_wrong_report_is_refused(change: dict[str, object], says: str) -> None:
    good = json.loads(Reported(lineage="a", desired=1, version=1).json())
    with pytest.raises(InvalidError, match=says):
        parse_reported(json.dumps({**good, **change}))


def test_why_a_setting_was_refused_is_cut() -> None:
    report = json.loads(Reported().json()) | {"refused": {"a": "x" * 5000}}
    assert len(parse_reported(json.dumps(report)).refused["a"]) == 200


def test_a_twin_is_in_sync_when_the_newest_version_holds() -> None:
    assert Twin().in_sync
    assert not Twin(desired={"a": 1}, desired_version=1).in_sync
    assert Twin(desired={"a": 1}, desired_version=1, reported={"a": 1}, reported_version=1).in_sync
    refused = Twin(desired_version=1, reported_version=1, refused={"a": "no"})
    assert refused.settled
    assert not refused.in_sync


def test_settings_that_cannot_travel_are_not_sent() -> None:
    for value in (float("nan"), object(), {1, 2}, "\ud800", "\x00"):
        with pytest.raises(InvalidError, match="desired"):
            Desired(lineage="a", version=1, changes={"a": value}).element()


def test_true_is_not_one() -> None:
    assert changed({"a": 1, "b": [0]}, {"a": True, "b": [False]}) == {"a": True, "b": [False]}
    assert changed({"a": 1}, {"a": 1.0}) == {}


def test_a_digest_names_contents_however_they_are_written() -> None:
    assert digest({"a": 1, "b": [2.0]}) == digest({"b": [2], "a": 1.0})
    assert len({digest(each) for each in ({}, {"a": 1}, {"a": True}, {"a": 1.5}, {"b": 1})}) == 5


@pytest.mark.parametrize(
    "attributes", [{"digest": "x"}, {"digest": "A" * 64}, {"by": "ann@example.org/desk"}]
)
def test_a_digest_and_a_person_are_checked(attributes: dict[str, str]) -> None:
    with pytest.raises(InvalidError, match=r"desired: (digest|by)"):
        parse_desired(desired_element("{}", **attributes))
