"""A command's arguments as a form, and what people enter in it."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from xml.etree.ElementTree import Element, SubElement

import pytest
from pydantic import Field, SecretStr

from iotxmpp.about import CommandAbout
from iotxmpp.dataforms import form_element, read_submitted
from iotxmpp.errors import ArgumentsError, InvalidError
from tests.unit.forms import (
    DATA,
    VALIDATE,
    Mode,
    Point,
    field,
    options,
    over_the_wire,
    read,
    shown,
    spec_of,
    submitted,
    unchanged,
    values,
)


def switch(
    channel: Annotated[int, Field(ge=1, le=4, title="Channel", description="Which relay")],
    on: bool,
    seconds: Annotated[float, Field(gt=0, lt=3600, json_schema_extra={"unit": "s"})] = 2.5,
    mode: Literal["soft", "hard"] = "soft",
) -> None:
    """Switches a relay."""


def test_a_form_shows_each_argument_with_its_words_type_and_range() -> None:
    form = shown(switch)
    assert form.get("type") == "form"
    assert form.findtext(f"{DATA}title") == "go"
    assert form.findtext(f"{DATA}instructions") == "Switches a relay."
    channel, on, seconds, mode = (field(form, name) for name in ("channel", "on", "seconds", "mode"))
    assert (channel.get("type"), channel.get("label")) == ("text-single", "Channel")
    assert channel.findtext(f"{DATA}desc") == "Which relay; at least 1, at most 4"
    assert channel.find(f"{DATA}required") is not None
    assert values(channel) == []
    validate = channel.find(f"{VALIDATE}validate")
    assert validate is not None
    assert validate.get("datatype") == "xs:integer"
    assert validate[0].attrib == {"min": "1", "max": "4"}
    assert on.get("type") == "boolean"
    assert seconds.get("label") == "seconds (s)"
    assert seconds.findtext(f"{DATA}desc") == "more than 0, less than 3600"
    assert seconds.find(f"{VALIDATE}validate/{VALIDATE}basic") is not None
    assert seconds.find(f"{DATA}required") is None
    assert values(seconds) == ["2.5"]
    assert mode.get("type") == "list-single"
    assert options(mode) == {"soft": "soft", "hard": "hard", "(none)": "(none)"}
    assert values(mode) == ["soft"]


def test_a_page_shows_its_arguments_with_what_was_given_and_what_was_wrong() -> None:
    form = shown(switch, only=("on", "channel"), given={"channel": 3, "on": True}, faults="try again")
    assert [each.get("var") for each in form.findall(f"{DATA}field")] == ["on", "channel"]
    assert values(field(form, "channel")) == ["3"]
    assert values(field(form, "on")) == ["1"]
    assert [each.text for each in form.findall(f"{DATA}instructions")] == ["try again", "Switches a relay."]
    with pytest.raises(InvalidError, match="no argument off"):
        shown(switch, only=("off",))


def test_what_was_entered_is_shown_again_as_it_was() -> None:
    form = shown(switch, entered=submitted({"channel": "many", "on": "1"}))
    assert values(field(form, "channel")) == ["many"]
    assert values(field(form, "seconds")) == ["2.5"]


def test_the_title_is_the_commands_own() -> None:
    about = spec_of(switch, title="Switch a relay").about()
    assert form_element(about, "go").findtext(f"{DATA}title") == "Switch a relay"


def test_integers_have_closed_ranges_on_the_wire() -> None:
    def go(count: Annotated[int, Field(gt=0, lt=10)]) -> None: ...

    bounds = field(shown(go), "count").find(f"{VALIDATE}validate/{VALIDATE}range")
    assert bounds is not None
    assert bounds.attrib == {"min": "1", "max": "9"}


HIDDEN = SecretStr("hidden")


def rich(  # noqa: PLR0913, PLR0917  # one of each kind
    point: Point,
    mode: Mode | None = None,
    names: list[str] | None = None,
    levels: list[Literal["low", "high"]] = [],  # noqa: B006  # only its annotation is used
    at: datetime | None = None,
    flag: bool | None = None,
    secret: SecretStr = HIDDEN,
    anything: Any = 5,  # noqa: ANN401  # what is tested
) -> None: ...


def test_rich_types_have_fitting_fields() -> None:
    form = shown(rich)
    kinds = {each.get("var"): each.get("type") for each in form.findall(f"{DATA}field")}
    assert kinds == {
        "point": "text-multi",
        "mode": "list-single",
        "names": "text-multi",
        "levels": "list-multi",
        "at": "text-single",
        "flag": "list-single",
        "secret": "text-private",
        "anything": "text-multi",
    }
    assert field(form, "point").findtext(f"{DATA}desc") == "as JSON"
    assert field(form, "point").get("label") == "point"
    assert options(field(form, "mode")) == {"eco": "eco", "full": "full", "(none)": "(none)"}
    assert options(field(form, "flag")) == {"true": "yes", "false": "no", "(none)": "(none)"}
    at = field(form, "at").find(f"{VALIDATE}validate")
    assert at is not None
    assert at.get("datatype") == "xs:dateTime"
    assert values(field(form, "secret")) == []


def test_no_option_is_empty_and_nothing_is_chosen_by_its_name() -> None:
    def go(mode: Literal["a", "(none)", ""] | None = "a", flag: bool | None = None) -> None: ...

    spec = spec_of(go)
    form = shown(go)
    assert options(field(form, "mode")) == {"a": "a", "(none)": "(none)", '""': '""', "((none))": "(none)"}
    assert values(field(form, "flag")) == ["(none)"]
    read = read_submitted(submitted({"mode": "((none))", "flag": "(none)"}), spec.about(), "go")
    assert read == {"mode": None, "flag": None}


def test_rich_types_are_read_from_what_people_enter() -> None:
    entered = submitted(
        {
            "point": ['{"x": 1,', '"y": 2.5}'],
            "mode": "full",
            "names": ["one", "", "  two"],
            "levels": ["high", "low"],
            "at": " 2026-11-21T10:00:00Z ",
            "flag": "1",
            "anything": "not in quotes",
        }
    )
    spec = spec_of(rich)
    parsed = spec.parse(read(rich, entered))
    assert parsed == {
        "point": Point(x=1, y=2.5),
        "mode": Mode.FULL,
        "names": ["one", "  two"],
        "levels": ["high", "low"],
        "at": datetime(2026, 11, 21, 10, tzinfo=UTC),
        "flag": True,
        "secret": HIDDEN,
        "anything": "not in quotes",
    }


def test_absent_and_empty_fields_mean_the_default_or_nothing() -> None:
    def go(
        text: str = "abc",
        name: str | None = None,
        count: int = 3,
        lines: list[str] = ["a"],  # noqa: B006  # people declare such commands
    ) -> None: ...

    assert read(go, submitted({})) == {}
    assert spec_of(go).parse(read(go, submitted({}))) == {
        "text": "abc",
        "name": None,
        "count": 3,
        "lines": ["a"],
    }
    blank = submitted({"text": "", "name": "", "count": "", "lines": []})
    assert spec_of(go).parse(read(go, blank)) == {"text": "", "name": None, "count": 3, "lines": []}


@pytest.mark.parametrize("typed", [None, "text-single", "nonsense"])
def test_a_submitted_fields_own_type_is_of_no_matter(typed: str | None) -> None:
    form = submitted({"channel": " 4 ", "on": "true"}, typed=typed)
    assert read(switch, form) == {"channel": 4, "on": True}


def test_hidden_fields_and_those_of_other_pages_are_ignored() -> None:
    form = submitted({"FORM_TYPE": "urn:x", "channel": "4", "seconds": "many"})
    SubElement(form, f"{DATA}field", {"var": "token", "type": "hidden"})
    assert read(switch, form, only=("channel",)) == {"channel": 4}


@pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False), ("true", True), ("false", False)])
def test_truth_has_four_spellings(text: str, value: bool) -> None:
    assert read(switch, submitted({"on": text}), only=("on",)) == {"on": value}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"on": "1"}, "channel: missing; fill it in"),
        ({"channel": " ", "on": "1"}, "channel: missing; fill it in"),
        ({"channel": "two", "on": "1"}, "channel: 'two' is no whole number, such as 20"),
        ({"channel": "1.0", "on": "1"}, "channel: '1.0' is no whole number"),
        ({"channel": "\u0663", "on": "1"}, "is no whole number"),
        ({"channel": "9" * 5000, "on": "1"}, "is no whole number"),
        ({"channel": "5", "on": "1"}, "channel: 5 is more than 4"),
        ({"channel": "0", "on": "1"}, "channel: 0 is less than 1"),
        ({"channel": ["1", "2"], "on": "1"}, "channel: one value, please, not 2"),
        ({"channel": "1", "on": "maybe"}, "on: 'maybe' is neither true nor false"),
        ({"channel": "1", "on": "1", "seconds": "nan"}, "seconds: 'nan' is no number, such as 2.5"),
        ({"channel": "1", "on": "1", "seconds": "1e999"}, "seconds: '1e999' is no number"),
        ({"channel": "1", "on": "1", "seconds": "2,5"}, "seconds: '2,5' is no number"),
        ({"channel": "1", "on": "1", "seconds": "0"}, "seconds: 0 is not more than 0"),
        ({"channel": "1", "on": "1", "seconds": "3600"}, "seconds: 3600 is not less than 3600"),
        ({"channel": "1", "on": "1", "mode": "sof"}, "mode: 'sof' is none of soft, hard"),
        ({"channel": "1", "on": "1", "chanel": "2"}, "chanel: no such argument; there is channel, on"),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, str | list[str]], fault: str) -> None:
    with pytest.raises(ArgumentsError, match=r"^command go: ") as caught:
        read(switch, submitted(fields))
    assert fault in str(caught.value)


def test_every_fault_is_named_and_a_field_given_twice_is_one() -> None:
    form = submitted({"channel": "x", "on": "y"})
    form.append(submitted({"on": "1"})[0])
    with pytest.raises(ArgumentsError, match=r"on: given twice; channel: .*; on: 'y'"):
        read(switch, form)
    with pytest.raises(ArgumentsError, match="expected a form"):
        read(switch, Element("{jabber:iq:version}query"))


@pytest.mark.parametrize("text", ["{", '{"x":1,"x":2}', "NaN", "[" * 500 + "]" * 500, "[" * 40_000])
def test_json_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ArgumentsError, match="command go: point: JSON: "):
        read(rich, submitted({"point": text}))


def test_a_foreign_schema_with_lists_of_types_and_null_is_shown() -> None:
    about = CommandAbout(
        arguments={
            "properties": {
                "a": {"type": ["integer", "null"], "maximum": 3},
                "b": {"enum": ["x", None]},
                "c": {"allOf": [{"$ref": "#/$defs/C"}], "description": "mine"},
                "d": {"type": "array", "items": {"type": ["string", "null"]}},
            },
            "required": ["a", "b"],
            "$defs": {"C": {"type": "string", "description": "theirs"}},
        }
    )
    form = over_the_wire(form_element(about, "go"))
    kinds = {each.get("var"): each.get("type") for each in form.findall(f"{DATA}field")}
    assert kinds == {"a": "text-single", "b": "list-single", "c": "text-single", "d": "text-multi"}
    assert field(form, "c").findtext(f"{DATA}desc") == "mine"
    assert read_submitted(unchanged(form), about, "go") == {"a": None, "b": None}
