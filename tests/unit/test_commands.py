import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from iotxmpp.about import CommandAbout
from iotxmpp.commands import (
    CALL_NAMESPACE,
    COMMAND_TAG,
    COMMANDS_NAMESPACE,
    CommandCall,
    CommandSpec,
    call_element,
    command_error,
    expired_error,
    failure_element,
    parse_call,
    read_reply,
    result_element,
    unknown_error,
    wrong_arguments_error,
)
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    DeviceAwayError,
    InvalidError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
    stanza_error,
)


def over_the_wire(element: Element) -> Element:
    return fromstring(tostring(element))  # noqa: S314  # our own element


CALL = CommandCall(name="water", arguments_json=None, id="c1", expires=None)


class Point(BaseModel):
    x: int
    y: float = 0.0


class Mode(Enum):
    ECO = "eco"
    FULL = "full"


def water(seconds: int = 10, *, zone: Literal["a", "b"] = "a") -> str:
    """Waters a zone.

    More about it.
    """
    return f"{seconds} {zone}"


def everything(  # noqa: PLR0913, PLR0917  # one of each kind
    flag: bool,
    ratio: Annotated[float, Field(ge=0, le=1)],
    point: Point,
    mode: Mode | None = None,
    names: list[str] | None = None,
    level: Literal[1, 2] = 1,
) -> None:
    """Has every kind of argument."""


WATER = CommandSpec.from_function(water)
EVERYTHING = CommandSpec.from_function(everything)


def test_a_function_describes_its_command() -> None:
    about = WATER.about()
    assert WATER.name == "water"
    assert about.description == "Waters a zone."
    assert about.arguments == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "seconds": {"type": "integer", "default": 10},
            "zone": {"type": "string", "enum": ["a", "b"], "default": "a"},
        },
    }


def test_given_arguments_and_defaults_are_parsed() -> None:
    assert WATER.parse('{"seconds": 20}') == {"seconds": 20, "zone": "a"}
    assert WATER.parse({"zone": "b"}) == {"seconds": 10, "zone": "b"}
    assert WATER.parse(None) == {"seconds": 10, "zone": "a"}


def test_models_and_enums_arrive_as_their_types() -> None:
    parsed = EVERYTHING.parse({"flag": True, "ratio": 1, "point": Point(x=3), "mode": "eco", "names": ["a"]})
    assert parsed == {
        "flag": True,
        "ratio": 1.0,
        "point": Point(x=3),
        "mode": Mode.ECO,
        "names": ["a"],
        "level": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ('{"seconds": "20"}', "seconds: Input should be a valid integer"),
        ('{"seconds": true}', "seconds: Input should be a valid integer"),
        ('{"seconds": 1.5}', "seconds: Input should be a valid integer"),
        ('{"seconds": null}', "seconds: Input should be a valid integer"),
        ('{"zone": "c", "seconds": []}', "zone: Input should be 'a' or 'b'"),
        ('{"second": 20}', "second: Extra inputs are not permitted"),
        ('{"argument_0": 20}', "argument_0: Extra inputs are not permitted"),
        ("[20]", "expected a JSON object"),
        ("20", "expected a JSON object"),
        ("", "no JSON"),
        ('{"seconds": 1, "seconds": 1000}', "a key twice"),
        ('{"seconds": NaN}', "NaN is not a finite number"),
        ('{"seconds": 1e999}', "not finite"),
        ('{"seconds": ' + "9" * 5000 + "}", "no JSON"),
        ('{"seconds": ' + "[" * 500 + "]" * 500 + "}", "nested deeper than 32 levels"),
        ('{"seconds": ' + "[" * 30000 + "]" * 30000 + "}", "nested deeper than 32 levels"),
        ('{"zone": "' + "a" * 70_000 + '"}', "70012 bytes of JSON; at most 65536"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(arguments: str, fault: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        WATER.parse(arguments)
    assert fault in str(caught.value)
    assert str(caught.value).startswith("command water: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"ratio": 2}, "ratio: Input should be less than or equal to 1"),
        ({"ratio": True}, "ratio: Input should be a valid number"),
        ({"flag": 1}, "flag: Input should be a valid boolean"),
        ({"point": {"x": "1"}}, "point.x: Input should be a valid integer"),
        ({"point": {"x": 1, "y": True}}, "point.y: Input should be a valid number"),
        ({"level": True}, "level: a truth value is no number"),
        ({"mode": "slow"}, "mode: Input should be 'eco' or 'full'"),
        ({"names": [1]}, "names.0: Input should be a valid string"),
    ],
)
def test_each_type_is_taken_strictly(wrong: dict[str, Any], fault: str) -> None:
    good = {"flag": True, "ratio": 0.5, "point": {"x": 1}}
    assert EVERYTHING.parse(good)
    with pytest.raises(ArgumentsError, match="everything") as caught:
        EVERYTHING.parse({**good, **wrong})
    assert fault in str(caught.value)


def test_every_missing_argument_is_named() -> None:
    with pytest.raises(ArgumentsError, match=r"flag: Field required; ratio: .*; point: "):
        EVERYTHING.parse(None)


def test_names_that_pydantic_reserves_are_fine() -> None:
    def reserved(copy: int, model_config: str, self: bool = True, _private: float = 1.0) -> None: ...

    spec = CommandSpec.from_function(reserved, name="x")
    assert spec.parse({"copy": 1, "model_config": "m"}) == {
        "copy": 1,
        "model_config": "m",
        "self": True,
        "_private": 1.0,
    }


def _no_annotation(seconds) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def _star(*seconds: int) -> None: ...


def _keywords(**seconds: int) -> None: ...


def _positional(seconds: int, /) -> None: ...


def _callback(seconds: Callable[[], int]) -> None: ...


def _unresolved(seconds: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def _plain_class(seconds: StanzaError) -> None: ...


def _field_as_default(seconds: int = Field(10, ge=0)) -> None: ...


def _odd_default(seconds: Any = WATER) -> None: ...  # noqa: ANN401


def _nan_default(seconds: float = math.nan) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        _no_annotation,
        _star,
        _keywords,
        _positional,
        _callback,
        _unresolved,
        _plain_class,
        _field_as_default,
        _odd_default,
        _nan_default,
    ],
)
def test_a_signature_that_cannot_be_served_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(InvalidError, match=f"command {function.__name__}: ") as caught:
        CommandSpec.from_function(function)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "  ", "a\x00b"])
def test_a_name_that_cannot_be_called_is_refused(name: str) -> None:
    with pytest.raises(InvalidError):
        CommandSpec.from_function(water, name=name)


# A profile's commands.

SWITCH = CommandAbout(
    description="Switches a relay.",
    arguments={
        "type": "object",
        "properties": {
            "channel": {"type": "integer", "minimum": 1.0, "maximum": 4.5},
            "on": {"type": "boolean"},
            "for": {"type": "number", "minimum": 0.1, "maximum": 3600, "unit": "s"},
            "mode": {"type": "string", "enum": ["soft", "hard"], "default": "soft"},
            "step": {"type": "integer", "enum": [1, 2], "default": 1},
        },
        "required": ["channel", "on"],
        "additionalProperties": False,
    },
)


def test_a_described_command_takes_what_its_schema_allows() -> None:
    spec = CommandSpec.from_about("switch", SWITCH)
    assert spec.about() == SWITCH
    assert spec.parse({"channel": 4, "on": False}) == {"channel": 4, "on": False, "mode": "soft", "step": 1}
    assert spec.parse({"channel": 1, "on": True, "for": 2})["for"] == 2.0


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"channel": 5}, "channel: Input should be less than or equal to 4"),
        ({"channel": True}, "channel: Input should be a valid integer"),
        ({"on": 1}, "on: Input should be a valid boolean"),
        ({"for": 0.05}, "for: Input should be greater than or equal to 0.1"),
        ({"mode": "medium"}, "mode: Value error, must be one of soft, hard"),
        ({"step": 3}, "step: Value error, must be one of 1, 2"),
        ({"step": True}, "step: Input should be a valid integer"),
        ({"off": True}, "off: Extra inputs are not permitted"),
    ],
)
def test_a_described_command_refuses_the_rest(wrong: dict[str, Any], fault: str) -> None:
    spec = CommandSpec.from_about("switch", SWITCH)
    with pytest.raises(ArgumentsError) as caught:
        spec.parse({"channel": 1, "on": True, **wrong})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"type": "array"},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "patternProperties": {}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}},
    ],
)
def test_a_schema_beyond_plain_types_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="command odd"):
        CommandSpec.from_about("odd", CommandAbout(arguments=arguments))


# What the model refuses never passes; what it accepts arrives unchanged.

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

_FITS: dict[str, Callable[[Any], bool]] = {
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float) and abs(value) <= sys.float_info.max,
    "boolean": lambda value: type(value) is bool,
    "string": lambda value: type(value) is str,
    "numbers": lambda value: type(value) is list and all(type(each) is int for each in value),
    "optional": lambda value: value is None or type(value) is int,
    "choice": lambda value: (type(value) is int and value in (1, 2)) or value == "on",
}


def typed(  # noqa: PLR0913, PLR0917  # one of each kind
    integer: int = 0,
    number: float = 0.0,
    boolean: bool = False,
    string: str = "",
    numbers: list[int] = [],  # noqa: B006  # only its annotation is used
    optional: int | None = None,
    choice: Literal[1, 2, "on"] = 1,
) -> None: ...


TYPED = CommandSpec.from_function(typed)


@given(st.sampled_from(sorted(_FITS)), JSON_VALUES)
def test_the_model_takes_exactly_the_values_of_the_type(argument: str, value: object) -> None:
    text = json.dumps({argument: value})
    # A whole float such as 1.0 is an integer to JSON, so that a choice may take it; nothing else differs.
    whole = argument == "choice" and isinstance(value, float)
    if _FITS[argument](value):
        arrived = TYPED.parse(text)[argument]
        expected = float(value) if argument == "number" else value  # type: ignore[arg-type]
        assert (type(arrived), arrived) == (type(expected), expected)
    elif not whole:
        with pytest.raises(ArgumentsError):
            TYPED.parse(text)


@given(st.text(max_size=200))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    with contextlib.suppress(ArgumentsError):
        TYPED.parse(text)


# The wire.


def test_a_call_travels_in_one_element() -> None:
    element = call_element("water", {"seconds": 20}, id="c1", expires=1_800_000_000.5)
    assert tostring(element, "unicode") == (
        '<ns0:command xmlns:ns0="http://jabber.org/protocol/commands" xmlns:ns1="urn:xmpp:json:0"'
        ' xmlns:ns2="urn:iotxmpp:command:0" node="water" action="execute">'
        '<ns1:json>{"seconds":20}</ns1:json>'
        '<ns2:call id="c1" expires="2027-01-15T08:00:00.500Z" /></ns0:command>'
    )
    call = parse_call(over_the_wire(element))
    assert call == CommandCall(
        name="water", arguments_json='{"seconds":20}', id="c1", expires=1_800_000_000.5
    )


def test_a_call_without_our_extras_is_taken() -> None:
    call = parse_call(Element(COMMAND_TAG, {"node": "water"}))
    assert (call.name, call.arguments_json, call.expires) == ("water", None, None)
    assert call.id != parse_call(Element(COMMAND_TAG, {"node": "water"})).id


@dataclass
class Spot:
    x: int


def test_arguments_of_rich_types_are_made_plain() -> None:
    element = call_element(
        "go", {"to": Point(x=1), "at": datetime.fromisoformat("2026-01-01"), "spot": Spot(2)}, id="c"
    )
    call = parse_call(element)
    assert json.loads(call.arguments_json or "") == {
        "to": {"x": 1, "y": 0.0},
        "at": "2026-01-01T00:00:00",
        "spot": {"x": 2},
    }


def test_a_control_character_in_an_argument_travels_escaped() -> None:
    element = call_element("say", {"text": "a\x00b\ufffe"}, id="c1")
    call = parse_call(over_the_wire(element))
    assert json.loads(call.arguments_json or "") == {"text": "a\x00b\ufffe"}


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, [math.nan], object(), b"\xff", LOOP, "x" * 70_000, Point], ids=repr
)
def test_arguments_that_json_cannot_hold_are_refused_before_sending(value: object) -> None:
    with pytest.raises(ArgumentsError, match="command water: arguments: "):
        call_element("water", {"seconds": value}, id="c1")


@pytest.mark.parametrize(("name", "id_"), [("", "c1"), ("water", ""), ("wa\x00ter", "c1"), ("water", "\x00")])
def test_a_call_needs_a_name_and_an_id_that_travel(name: str, id_: str) -> None:
    with pytest.raises(InvalidError):
        call_element(name, {}, id=id_)


@pytest.mark.parametrize("expires", [math.nan, 1e20])
def test_an_expiry_must_be_a_time(expires: float) -> None:
    with pytest.raises(InvalidError, match="expires"):
        call_element("water", {}, id="c1", expires=expires)


def _command(attributes: Mapping[str, str], *children: Element) -> Element:
    element = Element(COMMAND_TAG, dict(attributes))
    element.extend(children)
    return element


def _json(text: str) -> Element:
    element = Element("{urn:xmpp:json:0}json")
    element.text = text
    return element


def _extras(**attributes: str) -> Element:
    return Element(f"{{{CALL_NAMESPACE}}}call", attributes)


@pytest.mark.parametrize(
    ("element", "detail"),
    [
        (Element("{jabber:iq:version}query"), None),
        (_command({}), None),
        (_command({"node": "water", "action": "cancel"}), "bad-action"),
        (_command({"node": "water"}, _json("{}"), _json("{}")), "bad-payload"),
        (_command({"node": "water"}, _json("")), "bad-payload"),
        (_command({"node": "water"}, Element("{jabber:x:data}x")), "bad-payload"),
        (_command({"node": "water"}, _extras(id="c", expires="soon")), "bad-payload"),
        (_command({"node": "water"}, _extras(id="c", expires="2026-01-01T00:00:00")), "bad-payload"),
        (_command({"node": "water"}, _extras(id="c" * 300)), "bad-payload"),
    ],
)
def test_a_malformed_call_is_a_bad_request(element: Element, detail: str | None) -> None:
    with pytest.raises(StanzaError) as caught:
        parse_call(element)
    assert caught.value.condition == "bad-request"
    assert caught.value.detail == (f"{{{COMMANDS_NAMESPACE}}}{detail}" if detail else None)
    assert caught.value.text


@pytest.mark.parametrize(
    ("result", "note"),
    [
        ("watered", "watered"),
        (None, "done"),
        ({"a": [1, 2.5, True]}, '{"a":[1,2.5,true]}'),
        (0, "0"),
        ("", None),
        ("a\x00b", "a\ufffdb"),
    ],
)
def test_a_result_comes_back_whole_with_a_note(result: object, note: str | None) -> None:
    answer = over_the_wire(result_element(CALL, result))
    assert answer.attrib == {"node": "water", "status": "completed", "sessionid": "c1"}
    found = answer.find(f"{{{COMMANDS_NAMESPACE}}}note")
    assert found is not None
    assert (found.get("type"), found.text) == ("info", note)
    assert read_reply(answer) == result


@pytest.mark.parametrize("result", [math.nan, object(), "x" * 70_000], ids=["nan", "object", "long"])
def test_a_result_that_cannot_travel_is_refused(result: object) -> None:
    with pytest.raises(InvalidError, match="result: "):
        result_element(CALL, result)


def test_a_failure_is_completed_but_says_so() -> None:
    answer = over_the_wire(failure_element(CALL, "the valve \x07 is stuck"))
    assert answer.get("status") == "completed"
    assert answer.find(f"{{{CALL_NAMESPACE}}}failure") is not None
    with pytest.raises(CommandFailedError, match=r"^the valve \ufffd is stuck$"):
        read_reply(answer)


def test_another_implementations_error_note_is_a_failure() -> None:
    answer = _command({"node": "water", "status": "completed"})
    SubElement(answer, f"{{{COMMANDS_NAMESPACE}}}note", {"type": "error"}).text = "no water"
    with pytest.raises(CommandFailedError, match="no water"):
        read_reply(answer)


def test_another_implementations_note_is_the_result() -> None:
    answer = _command({"node": "water", "status": "completed"})
    SubElement(answer, f"{{{COMMANDS_NAMESPACE}}}note").text = "fine"
    assert read_reply(answer) == "fine"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Element("{jabber:iq:version}query"),
        _command({"node": "water", "status": "executing"}),
        _command({"node": "water"}),
        _command({"node": "water", "status": "completed"}, _json("{")),
        _command({"node": "water", "status": "completed"}, _json("[" * 30000 + "]" * 30000)),
    ],
    ids=["none", "other", "executing", "no status", "no json", "deep json"],
)
def test_an_answer_that_breaks_the_rules_is_an_error(answer: Element | None) -> None:
    with pytest.raises(CommandError):
        read_reply(answer)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (unknown_error(CALL, {"fill": 1, "drain": 2}), UnknownCommandError, "no command water; this device"),
        (wrong_arguments_error(ArgumentsError("seconds: no")), ArgumentsError, "^seconds: no$"),
        (stanza_error("forbidden", "not you"), NotAllowedError, "^not you$"),
        (stanza_error("not-authorized"), NotAllowedError, "does not obey"),
        (stanza_error("service-unavailable"), DeviceAwayError, "away"),
        (stanza_error("recipient-unavailable"), DeviceAwayError, "away"),
        (expired_error(CALL), CommandError, "expired"),
        (stanza_error("resource-constraint", "busy"), CommandError, "busy"),
    ],
)
def test_each_refusal_has_its_own_error(error: StanzaError, kind: type[Exception], text: str) -> None:
    translated = command_error(error)
    assert type(translated) is kind
    with pytest.raises(kind, match=text):
        raise translated


def test_parsing_is_quick_whatever_comes() -> None:
    started = time.perf_counter()
    with pytest.raises(ArgumentsError):
        WATER.parse('{"a":' * 10_000 + "1" + "}" * 10_000)
    assert time.perf_counter() - started < 1
