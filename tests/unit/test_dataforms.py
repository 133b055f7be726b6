import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from iotxmpp.about import CommandAbout
from iotxmpp.arguments import CommandSpec
from iotxmpp.dataforms import FORM_TAG, form_element, read_submitted, result_form
from iotxmpp.errors import ArgumentsError, InvalidError

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
    def go(text: str = "abc", name: str | None = None, count: int = 3, lines: list[str] = ["a"]) -> None: ...  # noqa: B006

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


# Whatever a model accepts, shown and submitted back unchanged, arrives equal.


def everything(  # noqa: PLR0913, PLR0917  # one of each kind
    integer: int,
    number: float,
    truth: bool,
    text: str,
    line: str | None,
    lines: list[str],
    point: Point,
    points: list[Point],
    choice: Literal[1, "1", "on", "", '"'],
    level: Mode | None,
    modes: list[Mode],
    moment: datetime,
    day: date | None,
    span: timedelta,
    either: int | str,
    anything: Any,  # noqa: ANN401  # what is tested
    default_text: str = "abc",
    default_lines: list[str] = ["a"],  # noqa: B006  # only its annotation is used
    maybe_number: float | None = 1.5,
    maybe_truth: bool | None = True,
    maybe_modes: list[Mode] | None = None,
    maybe_lines: list[str] | None = None,
    words: set[str] = set(),  # noqa: B006  # only its annotation is used
    pairs: dict[str, int] = {},  # noqa: B006  # only its annotation is used
) -> None: ...


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", '""', '"', '"a"', "[]", "null", " a", "a\nb", "a\r\nb", "\x00", "\ufffe", "true", "\u2028"]
)
POINTS = st.builds(Point, x=st.integers(), y=FLOATS)
MODES = st.sampled_from(Mode)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "integer": st.integers(),
        "number": FLOATS | st.integers(-(2**70), 2**70).map(float),
        "truth": st.booleans(),
        "text": TEXT,
        "line": st.none() | TEXT,
        "lines": st.lists(TEXT, max_size=4),
        "point": POINTS,
        "points": st.lists(POINTS, max_size=3),
        "choice": st.sampled_from([1, "1", "on", "", '"']),
        "level": st.none() | MODES,
        "modes": st.lists(MODES, max_size=3),
        "moment": st.datetimes(timezones=st.just(UTC)),
        "day": st.none() | st.dates(),
        "span": st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
        "either": st.integers() | TEXT,
        "anything": JSON,
    },
    optional={
        "default_text": TEXT,
        "default_lines": st.lists(TEXT, max_size=3),
        "maybe_number": st.none() | FLOATS,
        "maybe_truth": st.none() | st.booleans(),
        "maybe_modes": st.none() | st.lists(MODES, max_size=3),
        "maybe_lines": st.none() | st.lists(TEXT, max_size=3),
        "words": st.sets(TEXT, max_size=3),
        "pairs": st.dictionaries(TEXT, st.integers(), max_size=3),
    },
)
EVERYTHING = spec_of(everything)
EVERYTHING_ABOUT = EVERYTHING.about()


@given(ARGUMENTS)
def test_what_is_submitted_unchanged_arrives_equal(arguments: dict[str, Any]) -> None:
    accepted = EVERYTHING.parse(arguments)
    form = over_the_wire(form_element(EVERYTHING_ABOUT, "go", given=arguments))
    entered = read_submitted(over_the_wire(unchanged(form)), EVERYTHING_ABOUT, "go")
    assert EVERYTHING.parse(entered) == accepted


@given(
    st.dictionaries(
        st.sampled_from([*EVERYTHING_ABOUT.arguments["properties"], "other"]), TEXT | st.lists(TEXT)
    )
)
def test_whatever_is_entered_is_read_or_refused(entered: dict[str, str | list[str]]) -> None:
    try:
        arguments = read_submitted(submitted(entered), EVERYTHING_ABOUT, "go")
    except ArgumentsError as error:
        assert str(error).startswith("command go: ")  # noqa: PT017  # there is also no error
    else:
        assert arguments.keys() <= EVERYTHING_ABOUT.arguments["properties"].keys()


# Results.


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
