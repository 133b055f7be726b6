"""What became of a call: as a value that can be stored, as an answer on the wire, and read from one."""

import json
from dataclasses import dataclass
from typing import Any, Literal, Self
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.arguments import json_of
from iotxmpp.commands.calls import CALL_NAMESPACE, COMMAND_TAG, COMMANDS_NAMESPACE, CommandCall
from iotxmpp.commands.refusals import EXPIRED, LONGEST_NOTE, expired_error
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandError,
    CommandFailedError,
    CommandUnknownError,
    InvalidError,
    StanzaError,
    stanza_error,
)
from iotxmpp.payloads import JSON_TAG, json_element, json_text
from iotxmpp.xmltext import clean_text

_NOTE_TAG = f"{{{COMMANDS_NAMESPACE}}}note"
_FAILURE_TAG = f"{{{CALL_NAMESPACE}}}failure"
_STARTED_TAG = f"{{{CALL_NAMESPACE}}}started"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a call; all of it can be stored, and answers a repeated call as the first one.

    Attributes:
        kind: `done`, `failed`, `unknown` (started, its end not known), `cancelled` (before it started),
            `rejected` (not started) or `expired` (not started).
        result_json: The result as JSON text; of `done` only.
        text: What people read: why it failed or was refused.
        condition: The stanza error of `rejected`, as `condition` or `condition/XEP-0050's condition`, such
            as `bad-request/bad-payload`.
    """

    kind: Literal["done", "failed", "unknown", "cancelled", "rejected", "expired"]
    result_json: str = ""
    text: str = ""
    condition: str = ""

    @classmethod
    def of_result(cls, result: object) -> Self:
        """The outcome of a call whose function returned this; a `failed` one where JSON cannot hold it."""
        if result is None:
            return cls(kind="done", result_json="null")
        try:
            return cls(kind="done", result_json=json_of(result, "result"))
        except ArgumentsError as error:
            return cls(kind="failed", text=f"it ran, but its result cannot be sent: {error}")

    @classmethod
    def of_refusal(cls, error: StanzaError) -> Self:
        """The outcome of a call that was refused, by the refusal."""
        if error.detail == EXPIRED:
            return cls(kind="expired", text=error.text)
        detail = (error.detail or "").removeprefix(f"{{{COMMANDS_NAMESPACE}}}")
        condition = f"{error.condition}/{detail}" if detail else error.condition
        return cls(kind="rejected", text=error.text, condition=condition)

    def element(self, call: CommandCall) -> Element:
        """The answer to a call; to a machine's without the note that says a result to people.

        Raises:
            StanzaError: The command was not started: `rejected` or `expired`.
        """
        match self.kind:
            case "done":
                return _done(call, self.result_json or "null")
            case "failed":
                return failure_element(call, self.text)
            case "unknown":
                return started_element(call, self.text)
            case "cancelled":
                return cancelled_element(call)
            case "expired":
                raise expired_error(call)
            case "rejected":
                raise self._refusal()

    def _refusal(self) -> StanzaError:
        condition, _, detail = self.condition.partition("/")
        return stanza_error(
            condition or "not-acceptable",
            clean_text(self.text, LONGEST_NOTE),
            f"{{{COMMANDS_NAMESPACE}}}{detail}" if detail else None,
        )


def result_element(call: CommandCall, result: object) -> Element:
    """The answer to a call that succeeded: the result as JSON, and as text where a person may have called.

    Raises:
        InvalidError: The result cannot travel as JSON.
    """
    try:
        return _done(call, json_of(result, "result"))
    except ArgumentsError as error:
        raise InvalidError(str(error)) from error


def failure_element(call: CommandCall, text: str) -> Element:
    """The answer to a call that was started and failed, and why, for people."""
    answer = _answer(call, "error", text)
    SubElement(answer, _FAILURE_TAG)
    return answer


def started_element(call: CommandCall, text: str = "") -> Element:
    """The answer to a call that was started before, and whose end is not known; it is not started again."""
    answer = _answer(
        call, "error", text or f"command {call.name} was started before; what became of it is not known"
    )
    SubElement(answer, _STARTED_TAG)
    return answer


def cancelled_element(call: CommandCall) -> Element:
    """The answer to a call that was cancelled before it started, and to its cancellation (XEP-0050)."""
    return Element(COMMAND_TAG, {"node": call.name, "status": "canceled", "sessionid": call.id})


def read_reply(element: Element | None) -> Any:  # noqa: ANN401  # whatever JSON held
    """The result in a device's answer; the note's text where another implementation sent no JSON.

    Raises:
        CommandFailedError: The command was started and failed.
        CommandUnknownError: It was started before, and its end is not known.
        CommandCancelledError: It was cancelled before it was started.
        CommandError: The answer breaks XEP-0050, or asks for more steps.
    """
    if element is None or element.tag != COMMAND_TAG:
        raise CommandError("the answer holds no <command/>; the command may have run")
    status = element.get("status")
    if status == "completed" and len(element) == 1 and element[0].tag == JSON_TAG:
        return _result(element[0])
    notes = {note.get("type", "info"): note.text or "" for note in element.findall(_NOTE_TAG)}
    if status == "canceled":
        raise CommandCancelledError("the call was cancelled before it was started")
    if element.find(_STARTED_TAG) is not None:
        raise CommandUnknownError(notes.get("error") or "it was started, and what became of it is not known")
    if "error" in notes or element.find(_FAILURE_TAG) is not None:
        raise CommandFailedError(notes.get("error") or "the device gives no reason")
    if status != "completed":
        raise CommandError(f"the answer has status {status}: this command takes more than one step")
    result = element.find(JSON_TAG)
    return notes.get("info") or None if result is None else _result(result)


def _result(element: Element) -> Any:  # noqa: ANN401  # as above
    try:
        return json.loads(json_text(element))
    except (ValueError, RecursionError) as error:
        raise CommandError(f"the command ran, but its result is no JSON: {error}") from error


def _answer(call: CommandCall, kind: str, text: str) -> Element:
    answer = Element(COMMAND_TAG, {"node": call.name, "status": "completed", "sessionid": call.id})
    SubElement(answer, _NOTE_TAG, {"type": kind}).text = clean_text(text, LONGEST_NOTE)
    return answer


def _done(call: CommandCall, result_json: str) -> Element:
    if call.machine:  # it reads no note, and each element costs the servers time
        answer = Element(COMMAND_TAG, {"node": call.name, "status": "completed", "sessionid": call.id})
    else:
        answer = _answer(call, "info", _told(result_json))
    answer.append(json_element(result_json))
    return answer


def _told(result_json: str) -> str:
    if result_json == "null":
        return "done"
    return str(json.loads(result_json)) if result_json.startswith('"') else result_json
