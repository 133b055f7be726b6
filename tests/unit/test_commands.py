import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from iotxmpp.commands import (
    CALL_NAMESPACE,
    COMMAND_TAG,
    COMMANDS_NAMESPACE,
    CommandCall,
    Outcome,
    Progress,
    bad_session_error,
    call_element,
    cancel_element,
    cancelled_element,
    command_error,
    conflict_error,
    expired_error,
    failure_element,
    parse_call,
    progress_element,
    read_progress,
    read_reply,
    result_element,
    started_element,
    too_late_error,
    unknown_error,
    wrong_arguments_error,
)
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandConflictError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    DeviceAwayError,
    InvalidError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
    stanza_error,
)
from iotxmpp.payloads import JSON_TAG


def over_the_wire(element: Element) -> Element:
    return fromstring(tostring(element))  # noqa: S314  # our own element


CALL = CommandCall(name="water", arguments_json=None, id="c1", expires=None)


class Point(BaseModel):
    x: int
    y: float = 0.0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

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
    call = parse_call(_command({"node": "water", "action": action, "sessionid": "s1"}, form))
    assert (call.action, call.session, call.id, call.machine) == (action, "s1", "s1", False)
    assert call.form is form
    assert call.arguments_json is None


def test_a_form_may_lack_its_type_and_may_cancel() -> None:
    assert parse_call(_command({"node": "water"}, _form())).form is not None
    call = parse_call(_command({"node": "water", "sessionid": "s1"}, _form(type="cancel")))
    assert (call.action, call.form) == ("cancel", None)


def test_a_machine_is_told_by_our_extras() -> None:
    assert parse_call(_command({"node": "water"}, _json("{}"))).machine
    assert parse_call(_command({"node": "water"}, _extras(id="c1"))).machine
    assert not parse_call(_command({"node": "water"})).machine


def test_a_cancellation_names_the_call() -> None:
    call = parse_call(over_the_wire(cancel_element("water", id="c1")))
    assert (call.action, call.session, call.id, call.machine) == ("cancel", "c1", "c1", True)
    with pytest.raises(InvalidError):
        cancel_element("water", id="")


@pytest.mark.parametrize(
    ("element", "detail"),
    [
        (Element("{jabber:iq:version}query"), None),
        (_command({}), None),
        (_command({"node": "water", "action": "again"}), "malformed-action"),
        (_command({"node": "water", "sessionid": "c" * 300}), "bad-sessionid"),
        (_command({"node": "water"}, _json("{}"), _json("{}")), "bad-payload"),
        (_command({"node": "water"}, _json("")), "bad-payload"),
        (_command({"node": "water"}, Element("{jabber:iq:version}query")), "bad-payload"),
        (_command({"node": "water"}, _form(type="result")), "bad-payload"),
        (_command({"node": "water"}, _form(), _json("{}")), "bad-payload"),
        (_command({"node": "water"}, _extras(id="c", within="soon")), "bad-payload"),
        (_command({"node": "water"}, _extras(id="c", within="inf")), "bad-payload"),
        (_command({"node": "water"}, _extras(id="c", by="nobody")), "bad-payload"),
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


@pytest.mark.parametrize("result", ["watered", "", None, {"a": [1, 2.5, True]}])
def test_a_machine_gets_the_result_and_no_note(result: object) -> None:
    answer = over_the_wire(result_element(replace(CALL, machine=True), result))
    assert answer.attrib == {"node": "water", "status": "completed", "sessionid": "c1"}
    assert [child.tag for child in answer] == [JSON_TAG]
    assert read_reply(answer) == result


def test_a_machines_result_that_is_no_json_is_told() -> None:
    answer = result_element(replace(CALL, machine=True), "watered")
    answer[0].text = "{"
    with pytest.raises(CommandError, match="the command ran, but its result is no JSON"):
        read_reply(answer)


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


def test_a_call_that_was_started_before_is_unknown() -> None:
    answer = over_the_wire(started_element(CALL))
    assert answer.get("status") == "completed"
    with pytest.raises(CommandUnknownError, match="water was started before"):
        read_reply(answer)


def test_a_cancelled_call_says_so() -> None:
    answer = over_the_wire(cancelled_element(CALL))
    assert answer.attrib == {"node": "water", "status": "canceled", "sessionid": "c1"}
    with pytest.raises(CommandCancelledError):
        read_reply(answer)


REPEATED = CommandCall(name="water", id="c1", machine=True)


@given(JSON_VALUES)
def test_a_stored_result_is_answered_as_the_first_time(value: object) -> None:
    outcome = Outcome.of_result(value)
    assert outcome.kind == "done"
    stored = Outcome(kind="done", result_json=outcome.result_json)
    try:
        first = tostring(result_element(REPEATED, value))
    except (InvalidError, UnicodeEncodeError):  # a lone surrogate; the link refuses it
        return
    assert tostring(stored.element(REPEATED)) == first


@pytest.mark.parametrize(
    ("outcome", "kind", "text"),
    [
        (Outcome(kind="failed", text="the valve is stuck"), CommandFailedError, "^the valve is stuck$"),
        (Outcome(kind="unknown"), CommandUnknownError, "started before"),
        (Outcome(kind="cancelled"), CommandCancelledError, "cancelled"),
        (Outcome.of_result(object()), CommandFailedError, "it ran, but its result cannot be sent"),
    ],
)
def test_each_stored_answer_means_what_it_meant(outcome: Outcome, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        read_reply(outcome.element(CALL))


@pytest.mark.parametrize(
    "refusal",
    [
        wrong_arguments_error(ArgumentsError("seconds: no")),
        expired_error(CALL),
        conflict_error(CALL),
        stanza_error("forbidden", "not you"),
        stanza_error("resource-constraint"),
    ],
    ids=lambda refusal: refusal.condition,
)
def test_a_stored_refusal_is_the_same_refusal(refusal: StanzaError) -> None:
    outcome = Outcome.of_refusal(refusal)
    assert outcome.kind == ("expired" if refusal.condition == "not-acceptable" else "rejected")
    with pytest.raises(type(refusal)) as caught:
        outcome.element(CALL)
    raised = caught.value
    assert (raised.condition, raised.text, raised.detail) == (refusal.condition, refusal.text, refusal.detail)


@pytest.mark.parametrize(
    ("fraction", "read"),
    [(None, None), (0, 0.0), (0.256789, 0.2568), (1, 1.0), (7, 1.0), (-1, 0.0), (math.nan, None)],
)
def test_progress_travels(fraction: float | None, read: float | None) -> None:
    element = over_the_wire(progress_element("c1", fraction, "half\x00way"))
    found = read_progress([Element("{urn:x}other"), element])
    assert found == Progress(id="c1", fraction=read, text="half\ufffdway")


@pytest.mark.parametrize("fraction", ["much", "nan", "2", "-0.1", ""])
def test_odd_progress_has_no_fraction(fraction: str) -> None:
    element = Element(f"{{{CALL_NAMESPACE}}}progress", {"id": "c1", "fraction": fraction})
    assert read_progress([element]) == Progress(id="c1")
    assert read_progress([Element(f"{{{CALL_NAMESPACE}}}progress")]) is None


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
        (expired_error(CALL), CommandExpiredError, "expired"),
        (conflict_error(CALL), CommandConflictError, "c1 was used for another call"),
        (too_late_error(CALL), CommandError, "too late"),
        (bad_session_error(CALL), CommandError, "no such session"),
        (stanza_error("resource-constraint", "busy"), CommandError, "busy"),
    ],
)
def test_each_refusal_has_its_own_error(error: StanzaError, kind: type[Exception], text: str) -> None:
    translated = command_error(error)
    assert type(translated) is kind
    with pytest.raises(kind, match=text):
        raise translated
