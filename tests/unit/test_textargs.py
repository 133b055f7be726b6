"""Commands as people write them."""

import enum
import shlex
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from iotxmpp.commands import CommandSpec
from iotxmpp.errors import ArgumentsError
from iotxmpp.textargs import describe, split_words, typed_arguments


class Mode(enum.Enum):
    SLOW = "slow"
    FAST = "fast"


def switch(  # noqa: PLR0913  # an argument of each kind
    *,
    on: bool,
    channel: Annotated[int, Field(ge=1, le=4, description="Which relay")] = 1,
    share: Annotated[float, Field(gt=0, lt=1.5)] = 0.5,
    mode: Mode = Mode.SLOW,
    kind: Literal["a", "b"] = "a",
    note: str | None = None,
    times: Annotated[int | None, Field(ge=1)] = None,
    parts: tuple[int, ...] = (),
) -> None:
    """Switch a relay."""


SPEC = CommandSpec.from_function(switch)


def test_help_tells_each_argument_and_an_example() -> None:
    assert describe("switch", SPEC.about()).splitlines() == [
        "switch: Switch a relay.",
        "  on: true or false",
        "  channel: a whole number, at least 1 and at most 4, 1 unless given. Which relay",
        "  share: a number, more than 0 and less than 1.5, 0.5 unless given",
        "  mode: one of slow, fast, slow unless given",
        "  kind: one of a, b, a unless given",
        "  note: text, optional",
        "  times: a whole number, at least 1, optional",
        "  parts: a list in JSON, such as [1,2], [] unless given",
        "Write: switch on=true",
    ]


def test_the_example_of_help_is_understood() -> None:
    def move(to: Annotated[int, Field(ge=3)], name: str, mode: Mode, *, now: bool) -> None:
        """Move."""

    spec = CommandSpec.from_function(move)
    example = describe("move", spec.about()).splitlines()[-1].removeprefix("Write: ")
    name, written = split_words(example)
    values = spec.parse(typed_arguments(written, spec.about().arguments))
    assert (name, values) == ("move", {"to": 3, "name": "text", "mode": Mode.SLOW, "now": True})


def test_text_becomes_what_a_schema_with_choices_and_references_asks_for() -> None:
    typed = typed_arguments(
        {"note": "20", "times": "20", "mode": "fast", "on": "true", "parts": "[1]"}, SPEC.about().arguments
    )
    assert typed == {"note": "20", "times": 20, "mode": "fast", "on": True, "parts": [1]}


def test_a_definition_of_itself_ends() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert typed_arguments({"a": "1"}, schema) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("", {})),
        ("  water ", ("water", {})),
        ("switch on=true channel=1", ("switch", {"on": "true", "channel": "1"})),
        ("say text='two words' more=\"it's\"", ("say", {"text": "two words", "more": "it's"})),
        (r"say text=two\ words a=", ("say", {"text": "two words", "a": ""})),
        ("say\ntext=a=b", ("say", {"text": "a=b"})),
        ("say a='#1' b=#2", ("say", {"a": "#1", "b": "#2"})),
    ],
)
def test_a_line_is_split_as_a_shell_does(text: str, words: tuple[str, dict[str, str]]) -> None:
    assert split_words(text) == words


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,8}\Z"), st.text()))
def test_what_is_quoted_arrives_unchanged(arguments: dict[str, str]) -> None:
    line = shlex.join(["go", *(f"{key}={value}" for key, value in arguments.items())])
    assert split_words(line) == ("go", arguments)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("say text='two", "a quote is not closed"),
        ("say text=two\\", "a quote is not closed"),
        ("water 20", "argument '20': write it as key=value"),
        ("water =20", "write it as key=value"),
        ("water a=1 a=2", "argument 'a' is given twice"),
    ],
)
def test_what_is_no_command_line_is_told(text: str, told: str) -> None:
    with pytest.raises(ArgumentsError, match=told):
        split_words(text)
