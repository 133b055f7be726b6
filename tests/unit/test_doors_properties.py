"""What the model refuses never reaches a function; what it accepts arrives unchanged, whatever the door."""

import asyncio
import json
import math
import shlex
from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from iotxmpp.commands import COMMAND_TAG, call_element, read_reply
from iotxmpp.dataforms import form_element
from iotxmpp.errors import StanzaError
from iotxmpp.link import Message
from iotxmpp.payloads import json_element
from tests.unit.doors_kinds import JSON, KINDS, TEXT, Kind
from tests.unit.serving_world import DESK, World, chat_of

DATA = "{jabber:x:data}"
NAME = "take"

Signed = dict[str, tuple[Kind, bool]]
SIGNATURES: st.SearchStrategy[Signed] = st.dictionaries(
    st.sampled_from(["a", "copy", "model_x", "Übung", "self", "json", "name"]),
    st.tuples(st.sampled_from(sorted(KINDS)).map(KINDS.__getitem__), st.booleans()),
    min_size=1,
    max_size=4,
)
"""Arguments of a function: each with its type, and whether it has a default."""

DEFAULT = "its default"


class Taker:
    """A function of that signature, served, and what reached it."""

    def __init__(self, signed: Signed) -> None:
        self.taken: list[dict[str, Any]] = []

        async def take(**given: object) -> object:
            self.taken.append(given)
            return given

        take.__annotations__ = {name: kind.annotation for name, (kind, _) in signed.items()}
        parameters = [
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=DEFAULT if optional else Parameter.empty,
                annotation=kind.annotation,
            )
            for name, (kind, optional) in signed.items()
        ]
        take.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what inspect reads
        self.world = World(take, name=NAME)
        self.about = self.world.commands[NAME].spec.about()

    def ask(self, *payloads: Element) -> Element:
        """The answer to the last of some requests of one session, each through XML and back."""

        def wire(element: Element) -> Element:
            return fromstring(tostring(element))  # noqa: S314  # our own

        async def asked() -> Element:
            answer = Element("none")
            for payload in payloads:
                if answer.get("sessionid"):
                    payload.set("sessionid", answer.get("sessionid", ""))
                answer = await self.world.ask(wire(payload))
            return wire(answer)

        return asyncio.run(asked())

    def chat(self, text: str) -> str | None:
        """What is answered to a message."""
        return asyncio.run(chat_of(self.world).take(Message(sender=DESK, text=text)))


def same(one: object, other: object) -> bool:
    """Whether both are equal, and of the same type all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, BaseModel) and isinstance(other, BaseModel):
        return same(dict(one), dict(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return all(map(same, one, other))
    return True


def valid(signed: Signed) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that fit; of those with a default, any may be left out."""
    return st.fixed_dictionaries(
        {name: kind.values for name, (kind, optional) in signed.items() if not optional},
        optional={name: kind.values for name, (kind, optional) in signed.items() if optional},
    )


def submitted(about_form: Element) -> Element:
    """A person's request with that form, its values unchanged."""
    request = Element(COMMAND_TAG, {"node": NAME, "action": "complete"})
    form = SubElement(request, f"{DATA}x", {"type": "submit"})
    for shown in about_form.findall(f"{DATA}field"):
        field = SubElement(form, f"{DATA}field", {"var": shown.get("var", "")})
        field.extend(shown.findall(f"{DATA}value"))
    return request


def entered(lines: Mapping[str, list[str]]) -> Element:
    request = Element(COMMAND_TAG, {"node": NAME, "action": "complete"})
    form = SubElement(request, f"{DATA}x", {"type": "submit"})
    for name, texts in lines.items():
        field = SubElement(form, f"{DATA}field", {"var": name})
        for text in texts:
            SubElement(field, f"{DATA}value").text = text
    return request


def execute() -> Element:
    return Element(COMMAND_TAG, {"node": NAME, "action": "execute"})


def expected(signed: Signed, arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: DEFAULT for name, (_, optional) in signed.items() if optional} | arguments


def check_arrived(taker: Taker, signed: Signed, arguments: dict[str, Any]) -> None:
    assert len(taker.taken) == 1
    assert same(dict(sorted(taker.taken[0].items())), dict(sorted(expected(signed, arguments).items())))


def check_only_what_fits(taker: Taker, signed: Signed) -> None:
    """Nothing reached the function but values of its types, each as JSON can say it."""
    for arguments in taker.taken:
        for name, value in arguments.items():
            kind, optional = signed[name]
            plain = to_jsonable_python(value)
            assert (optional and value == DEFAULT) or kind.fits(plain), (name, value)


CALLS = SIGNATURES.flatmap(lambda signed: st.tuples(st.just(signed), valid(signed)))


@given(CALLS)
@settings(max_examples=150)
def test_what_fits_arrives_unchanged_by_json_and_so_does_the_result(
    case: tuple[Signed, dict[str, Any]],
) -> None:
    signed, arguments = case
    taker = Taker(signed)
    answer = taker.ask(call_element(NAME, arguments, id="c"))
    check_arrived(taker, signed, arguments)
    assert read_reply(answer) == to_jsonable_python(expected(signed, arguments))


@given(CALLS)
@settings(max_examples=100)
def test_what_fits_arrives_unchanged_by_form(case: tuple[Signed, dict[str, Any]]) -> None:
    signed, arguments = case
    required = {name: (kind, False) for name, (kind, _) in signed.items() if name in arguments}
    if not required:
        return
    taker = Taker(required)  # what is shown is submitted: nothing is left out
    answer = taker.ask(execute(), submitted(form_element(taker.about, NAME, given=arguments)))
    assert answer.get("status") == "completed"
    check_arrived(taker, required, arguments)


def written(about: dict[str, Any], name: str, value: object) -> str:
    """An argument as a person writes it in a chat."""
    plain = to_jsonable_python(value)
    text = plain if isinstance(plain, str) and plain_text(about, name) else json.dumps(plain)
    return f"{name}={shlex.quote(text)}"


def plain_text(schema: dict[str, Any], name: str) -> bool:
    rules = schema["properties"][name]
    if "$ref" in rules:
        rules = schema["$defs"][rules["$ref"].rpartition("/")[2]]
    types = {each.get("type") for each in rules.get("anyOf", [rules])}
    return "string" in types


@given(CALLS)
@settings(max_examples=100)
def test_what_fits_arrives_unchanged_by_chat(case: tuple[Signed, dict[str, Any]]) -> None:
    signed, drawn = case
    arguments = {name: value for name, value in drawn.items() if signed[name][0].chat(value)}
    kept = {name: each for name, each in signed.items() if name in arguments or each[1]}
    taker = Taker(kept)
    words = [written(taker.about.arguments, name, value) for name, value in arguments.items()]
    taker.chat(" ".join([NAME, *words]))
    check_arrived(taker, kept, arguments)


SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [True, False, 0, 1, 2, 5, 1.0, 0.5, "1", "on", "", None, [], {}, -1]
)


def lookalike(value: object) -> object:
    """Another type's value that Python calls equal, as far as there is one."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return bool(value)
    return [value]


@st.composite
def nearly(draw: st.DrawFn, kind: Kind) -> object:
    """A value that fits, but for one place in it."""
    whole = inner = [to_jsonable_python(draw(kind.values))]
    at: Any = 0
    while (
        isinstance(inner[at], dict | list) and inner[at] and draw(st.sampled_from([True, True, True, False]))
    ):
        inner = inner[at]
        at = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
    inner[at] = lookalike(inner[at]) if draw(st.booleans()) else draw(SCALARS)
    return whole[0]


@st.composite
def off_by_one(draw: st.DrawFn) -> tuple[Signed, dict[str, Any]]:
    """Arguments that fit, but for one of them."""
    signed = draw(SIGNATURES)
    arguments: dict[str, Any] = to_jsonable_python(draw(valid(signed)))
    name = draw(st.sampled_from([*signed, *signed, "strange"]))
    wrong = SCALARS if name not in signed else nearly(signed[name][0]) if draw(st.booleans()) else JSON
    arguments[name] = draw(wrong)
    if not draw(st.integers(0, 9)):
        arguments.pop(draw(st.sampled_from(sorted(arguments))))
    return signed, arguments


@given(off_by_one())
@settings(max_examples=400)
def test_what_does_not_fit_never_arrives_by_json(case: tuple[Signed, dict[str, Any]]) -> None:
    signed, arguments = case
    taker = Taker(signed)
    request = execute()
    request.append(json_element(json.dumps(arguments)))
    if not all(name in signed and signed[name][0].fits(value) for name, value in arguments.items()) or any(
        not optional and name not in arguments for name, (_, optional) in signed.items()
    ):
        with pytest.raises(StanzaError) as caught:
            taker.ask(request)
        assert (caught.value.condition, taker.taken) == ("bad-request", [])
        assert caught.value.text.startswith(f"command {NAME}")
        return
    try:
        taker.ask(request)
    except StanzaError:  # texts that are no moment, no day and no span
        assert taker.taken == []
    check_only_what_fits(taker, signed)


@given(SIGNATURES, st.data())
@settings(max_examples=150)
def test_what_does_not_fit_never_arrives_by_form(signed: Signed, data: st.DataObject) -> None:
    taker = Taker(signed)
    line = TEXT | JSON.map(json.dumps)
    lines = data.draw(
        st.fixed_dictionaries({}, optional=dict.fromkeys([*signed, "strange"], st.lists(line, max_size=2)))
    )
    answer = taker.ask(execute(), entered(lines))
    assert (answer.get("status") == "completed") == bool(taker.taken)
    assert answer.get("status") in {"completed", "executing"}
    assert taker.taken == [] or "strange" not in lines
    check_only_what_fits(taker, signed)


@given(SIGNATURES, st.data())
@settings(max_examples=150)
def test_what_does_not_fit_never_arrives_by_chat(signed: Signed, data: st.DataObject) -> None:
    taker = Taker(signed)
    words = TEXT | JSON.map(json.dumps)
    given_words = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys([*signed, "strange"], words)))
    reply = taker.chat(
        " ".join([NAME, *(f"{name}={shlex.quote(word)}" for name, word in given_words.items())])
    )
    assert reply
    assert taker.taken == [] or "strange" not in given_words
    check_only_what_fits(taker, signed)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_never_arrives(number: float) -> None:
    taker = Taker({"a": (KINDS["float"], False)})
    request = execute()
    request.append(json_element(json.dumps({"a": number})))
    with pytest.raises(StanzaError, match="not a finite number"):
        taker.ask(request)
    taker.ask(execute(), entered({"a": [str(number)]}))
    taker.chat(f"{NAME} a={number}")
    assert taker.taken == []
