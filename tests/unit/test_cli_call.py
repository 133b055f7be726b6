"""Arguments from the command line, as a command's schema wants them."""

import pytest

from iotxmpp.cli.call import _split, typed_arguments
from iotxmpp.commands import call_element
from iotxmpp.errors import ArgumentsError

SCHEMA = {
    "properties": {
        "seconds": {"type": "integer"},
        "level": {"type": "number"},
        "on": {"type": "boolean"},
        "note": {"type": "string"},
        "parts": {"type": "array"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    }
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seconds", "20", 20),
        ("seconds", "-1", -1),
        ("seconds", "soon", "soon"),
        ("seconds", "", ""),
        ("level", "1.5", 1.5),
        ("level", "NaN", "NaN"),
        ("level", "-Infinity", "-Infinity"),
        ("on", "true", True),
        ("on", "True", "True"),
        ("on", "1", 1),
        ("note", "20", "20"),
        ("note", "true", "true"),
        ("note", '"quoted"', '"quoted"'),
        ("note", "a=b", "a=b"),
        ("parts", "[1, 2]", [1, 2]),
        ("either", "20", 20),
        ("either", "later", "later"),
        ("unknown", "20", 20),
        ("unknown", "later", "later"),
        ("parts", "[" * 100_000, "[" * 100_000),
    ],
)
def test_text_becomes_what_the_schema_asks_for(name: str, text: str, value: object) -> None:
    typed = typed_arguments({name: text}, SCHEMA)
    assert typed == {name: value}
    assert type(typed[name]) is type(value)


def test_a_command_without_arguments_has_no_properties() -> None:
    assert typed_arguments({}, {}) == {}
    assert typed_arguments({"a": "1"}, {}) == {"a": 1}


def test_a_number_too_large_for_a_float_is_not_sent() -> None:
    typed = typed_arguments({"level": "1e999"}, SCHEMA)
    with pytest.raises(ArgumentsError, match="water"):
        call_element("water", typed, id="1")


def test_arguments_are_split_at_the_first_equals_sign() -> None:
    assert _split(["seconds=20", "note=a=b c", "empty="]) == {"seconds": "20", "note": "a=b c", "empty": ""}


@pytest.mark.parametrize("text", ["20", "=20", ""])
def test_an_argument_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ArgumentsError, match=f"argument '{text}': write it as key=value, such as seconds=20"):
        _split([text])


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(ArgumentsError, match="argument 'a' is given twice"):
        _split(["a=1", "b=1", "a=1"])
