"""Calls of commands on the wire, and the arguments they carry."""

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest
from pydantic import BaseModel

from iotxmpp.commands import (
    CALL_NAMESPACE,
    COMMAND_TAG,
    COMMANDS_NAMESPACE,
    CommandCall,
    call_element,
    cancel_element,
    parse_call,
)
from iotxmpp.errors import ArgumentsError, InvalidError, StanzaError
from tests.unit.command_elements import command_element, json_payload, over_the_wire


class Point(BaseModel):
    x: int
    y: float = 0.0


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
        name="water", arguments_json='{"seconds":20}', id="c1", expires=1_800_000_000.5, machine=True
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
    "value",
    [math.nan, math.inf, [math.nan], object(), b"\xff", LOOP, "x" * 70_000, Point],
    ids=["nan", "infinite", "nan in a list", "an object", "bytes", "a loop", "long", "a class"],
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


def _extras(**attributes: str) -> Element:
    return Element(f"{{{CALL_NAMESPACE}}}call", attributes)


def _form(**attributes: str) -> Element:
    return Element("{jabber:x:data}x", attributes)


def test_a_call_says_how_long_it_waits_and_for_whom() -> None:
    element = call_element("water", {}, id="c1", within=7.5, by="Anna@Example.org/phone")
    call = parse_call(over_the_wire(element))
    assert (call.within, call.by, call.expires) == (7.5, "anna@example.org", None)
    with pytest.raises(InvalidError, match="within"):
        call_element("water", {}, id="c1", within=math.inf)
    with pytest.raises(InvalidError, match="JID"):
        call_element("water", {}, id="c1", by="nobody")


@pytest.mark.parametrize("action", ["execute", "next", "prev", "complete", "cancel"])
def test_a_persons_call_has_an_action_a_session_and_a_form(action: str) -> None:
    form = _form(type="submit")
    call = parse_call(command_element({"node": "water", "action": action, "sessionid": "s1"}, form))
    assert (call.action, call.session, call.id, call.machine) == (action, "s1", "s1", False)
    assert call.form is form
    assert call.arguments_json is None


def test_a_form_may_lack_its_type_and_may_cancel() -> None:
    assert parse_call(command_element({"node": "water"}, _form())).form is not None
    call = parse_call(command_element({"node": "water", "sessionid": "s1"}, _form(type="cancel")))
    assert (call.action, call.form) == ("cancel", None)


def test_a_machine_is_told_by_our_extras() -> None:
    assert parse_call(command_element({"node": "water"}, json_payload("{}"))).machine
    assert parse_call(command_element({"node": "water"}, _extras(id="c1"))).machine
    assert not parse_call(command_element({"node": "water"})).machine


def test_a_cancellation_names_the_call() -> None:
    call = parse_call(over_the_wire(cancel_element("water", id="c1")))
    assert (call.action, call.session, call.id, call.machine) == ("cancel", "c1", "c1", True)
    with pytest.raises(InvalidError):
        cancel_element("water", id="")


@pytest.mark.parametrize(
    ("element", "detail"),
    [
        (Element("{jabber:iq:version}query"), None),
        (command_element({}), None),
        (command_element({"node": "water", "action": "again"}), "malformed-action"),
        (command_element({"node": "water", "sessionid": "c" * 300}), "bad-sessionid"),
        (command_element({"node": "water"}, json_payload("{}"), json_payload("{}")), "bad-payload"),
        (command_element({"node": "water"}, json_payload("")), "bad-payload"),
        (command_element({"node": "water"}, Element("{jabber:iq:version}query")), "bad-payload"),
        (command_element({"node": "water"}, _form(type="result")), "bad-payload"),
        (command_element({"node": "water"}, _form(), json_payload("{}")), "bad-payload"),
        (command_element({"node": "water"}, _extras(id="c", within="soon")), "bad-payload"),
        (command_element({"node": "water"}, _extras(id="c", within="inf")), "bad-payload"),
        (command_element({"node": "water"}, _extras(id="c", by="nobody")), "bad-payload"),
        (command_element({"node": "water"}, _extras(id="c", expires="soon")), "bad-payload"),
        (command_element({"node": "water"}, _extras(id="c", expires="2026-01-01T00:00:00")), "bad-payload"),
        (command_element({"node": "water"}, _extras(id="c" * 300)), "bad-payload"),
    ],
)
def test_a_malformed_call_is_a_bad_request(element: Element, detail: str | None) -> None:
    with pytest.raises(StanzaError) as caught:
        parse_call(element)
    assert caught.value.condition == "bad-request"
    assert caught.value.detail == (f"{{{COMMANDS_NAMESPACE}}}{detail}" if detail else None)
    assert caught.value.text
