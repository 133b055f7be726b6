import contextlib
import json
import math
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from iotxmpp.about import CommandAbout
from iotxmpp.commands import (
    CommandSpec,
)
from iotxmpp.errors import (
    ArgumentsError,
    InvalidError,
    StanzaError,
)
from tests.effort import SOON, seconds_of
from tests.unit.forms import Mode, Point


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


def _no_annotation(seconds) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # an argument of no type is refused


def _star(*seconds: int) -> None: ...


def _keywords(**seconds: int) -> None: ...


def _positional(seconds: int, /) -> None: ...


def _callback(seconds: Callable[[], int]) -> None: ...


def _unresolved(seconds: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # a type that is nowhere is refused


def _plain_class(seconds: StanzaError) -> None: ...


def _field_as_default(seconds: int = Field(10, ge=0)) -> None: ...


def _odd_default(seconds: Any = WATER) -> None: ...  # noqa: ANN401  # JSON has no such default for any type


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
        {"type": "object", "properties": {"a": {"type": "number", "minimum": "x"}}},
        {"type": "object", "properties": {"a": {"type": "integer", "maximum": float("inf")}}},
        {"type": "object", "properties": {"a": {"type": "number", "maximum": 10**400}}},
        {"type": "object", "properties": {"a": {"type": ["string"]}}},
        {"type": "object", "properties": {"a": {"type": "string", "minimum": 1}}},
        {"type": "object", "properties": {"a": {"type": "boolean", "maximum": 1}}},
        {"type": "object", "properties": {"a": {"type": "number", "enum": 5}}},
    ],
)
def test_a_schema_beyond_plain_types_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="command odd"):
        CommandSpec.from_about("odd", CommandAbout(arguments=arguments))


def test_an_argument_that_xml_cannot_carry_is_refused() -> None:
    arguments = {"type": "object", "properties": {"\ud800": {"type": "string"}}}
    with pytest.raises(InvalidError, match=r"command odd: argument: character U\+D800"):
        CommandSpec.from_about("odd", CommandAbout(arguments=arguments))


def test_a_described_command_takes_the_memory_of_a_model_when_it_is_called() -> None:
    spec = CommandSpec.from_about("switch", SWITCH)
    assert "_model" not in vars(spec)
    spec.parse({"channel": 1, "on": True})
    assert "_model" in vars(spec)


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
        expected = float(value) if argument == "number" and isinstance(value, int) else value
        assert (type(arrived), arrived) == (type(expected), expected)
    elif not whole:
        with pytest.raises(ArgumentsError):
            TYPED.parse(text)


@given(st.text(max_size=200))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    with contextlib.suppress(ArgumentsError):
        TYPED.parse(text)


def test_parsing_is_quick_whatever_comes() -> None:
    def parse() -> None:
        with pytest.raises(ArgumentsError):
            WATER.parse('{"a":' * 10_000 + "1" + "}" * 10_000)

    assert seconds_of(parse) < SOON
