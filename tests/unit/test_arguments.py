import hashlib
import json
import random
from enum import Enum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from iotxmpp.about import CommandAbout
from iotxmpp.arguments import DEEPEST_JSON, CommandSpec, fingerprint, json_value
from iotxmpp.errors import ArgumentsError, InvalidError


class Mode(Enum):
    ECO = "eco"


class Point(BaseModel):
    x: int
    y: float = 0.0


def switch(
    channel: Annotated[int, Field(ge=1, le=4, title="Channel", description="Which relay")] = 1,
    on: bool = True,
    seconds: Annotated[float, Field(json_schema_extra={"unit": "s"})] = 1.0,
) -> None:
    """Switches a relay."""


def test_annotations_give_labels_help_bounds_and_units() -> None:
    assert CommandSpec.from_function(switch).about().arguments["properties"] == {
        "channel": {
            "type": "integer",
            "minimum": 1,
            "maximum": 4,
            "title": "Channel",
            "description": "Which relay",
            "default": 1,
        },
        "on": {"type": "boolean", "default": True},
        "seconds": {"type": "number", "default": 1.0, "unit": "s"},
    }


def test_a_command_is_an_operators_and_journaled_unless_it_says_otherwise() -> None:
    about = CommandSpec.from_function(switch).about()
    assert (about.title, about.role, about.once, about.steps) == ("", "operator", "journal", ())


def test_a_description_gives_the_same_command_again() -> None:
    steps = (("on",), ("channel", "seconds"))
    spec = CommandSpec.from_function(
        switch, name="s", title="Switch", role="maintainer", idempotent=True, steps=steps
    )
    again = CommandSpec.from_about("s", spec.about())
    assert again.about() == spec.about()
    for each in (spec, again):
        assert (each.title, each.role, each.idempotent, each.steps) == ("Switch", "maintainer", True, steps)
    restored = CommandAbout.model_validate_json(spec.about().model_dump_json())
    assert restored == spec.about()


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ([["channel"], ["on"]], "on no page seconds"),
        ([["channel", "on"], ["on", "seconds"]], "twice on"),
        ([["channel", "on", "seconds", "off"]], "no such argument off"),
        ([["channel", "on", "seconds"], []], "a page is empty"),
        (["channel", "on", "seconds"], "write each page as a tuple"),
    ],
)
def test_each_argument_is_on_one_page(steps: Any, fault: str) -> None:  # noqa: ANN401  # also what is wrong
    with pytest.raises(InvalidError, match=f"command switch: steps: .*{fault}"):
        CommandSpec.from_function(switch, steps=steps)


@pytest.mark.parametrize("more", [{"role": " "}, {"role": "\x00"}, {"title": "\x00"}])
def test_words_that_cannot_travel_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(InvalidError, match="command switch: "):
        CommandSpec.from_function(switch, **more)  # type: ignore[arg-type]  # only these two, which are texts


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_arguments_is_of_no_matter(arguments: dict[str, Any], chance: random.Random) -> None:
    shuffled = list(arguments.items())
    chance.shuffle(shuffled)
    assert fingerprint("go", dict(shuffled)) == fingerprint("go", arguments)


def test_another_name_value_or_type_has_another_fingerprint() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("go", {}),
        ("went", {}),
        ("go", {"a": 1}),
        ("go", {"a": "1"}),
        ("go", {"a": True}),
        ("go", {"a": None}),
        ("go", {"a": 1, "b": 1}),
        ("go", {"a": [1]}),
    ]
    found = {fingerprint(name, arguments) for name, arguments in calls}
    assert len(found) == len(calls)
    assert all(len(each) == 64 for each in found)


def test_a_fingerprint_is_of_what_travels() -> None:
    assert fingerprint("go", {"m": Mode.ECO, "p": Point(x=1)}) == fingerprint(
        "go", {"p": {"y": 0.0, "x": 1}, "m": "eco"}
    )
    assert fingerprint("go", {"a": 1}) == (hashlib.sha256(b'["go",{"a":1}]').hexdigest())
    with pytest.raises(ArgumentsError, match="command go: "):
        fingerprint("go", {"a": object()})


@pytest.mark.parametrize("text", ["[1]", "null", '"a"', "2.5", "[" * DEEPEST_JSON + "]" * DEEPEST_JSON])
def test_any_json_is_a_value(text: str) -> None:
    assert json_value(text, "x") == json.loads(text)


@pytest.mark.parametrize(
    "text", ["", "NaN", "1e999", "[1e999]", '{"a":1,"a":2}', "[" * 500 + "]" * 500, '"' + "a" * 70_000 + '"']
)
def test_lax_json_is_refused(text: str) -> None:
    with pytest.raises(ArgumentsError, match=r"^x: "):
        json_value(text, "x")
