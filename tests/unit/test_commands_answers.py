"""Answers to commands: results, failures, progress and refusals on the wire."""

import math
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from hypothesis import given

from iotxmpp.commands import (
    CALL_NAMESPACE,
    COMMANDS_NAMESPACE,
    CommandCall,
    Outcome,
    Progress,
    bad_session_error,
    cancelled_element,
    command_error,
    conflict_error,
    expired_error,
    failure_element,
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
from tests.unit.command_elements import CALL, JSON_VALUES, command_element, json_payload, over_the_wire


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
    answer = command_element({"node": "water", "status": "completed"})
    SubElement(answer, f"{{{COMMANDS_NAMESPACE}}}note", {"type": "error"}).text = "no water"
    with pytest.raises(CommandFailedError, match="no water"):
        read_reply(answer)


def test_another_implementations_note_is_the_result() -> None:
    answer = command_element({"node": "water", "status": "completed"})
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
        command_element({"node": "water", "status": "executing"}),
        command_element({"node": "water"}),
        command_element({"node": "water", "status": "completed"}, json_payload("{")),
        command_element({"node": "water", "status": "completed"}, json_payload("[" * 30000 + "]" * 30000)),
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
