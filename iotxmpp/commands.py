"""Commands on the wire: XEP-0050 with JSON arguments, one round trip, in `urn:iotxmpp:command:0`.

A caller sends `<command/>` with its arguments in `<json/>` (XEP-0335), and an id and an expiry in our
`<call/>`. A command that was never started is answered with an IQ error. One that ran is answered with status
`completed`, which XEP-0050 gives to failures too: those carry a `<note type="error">` and our `<failure/>`.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.arguments import CommandSpec, json_of
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    DeviceAwayError,
    ForbiddenError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    StanzaError,
    UnknownCommandError,
    UnreachableError,
    stanza_error,
)
from iotxmpp.payloads import JSON_TAG, json_element, json_text
from iotxmpp.xmltext import check_text, clean_text

__all__ = [
    "CALL_NAMESPACE",
    "COMMANDS_NAMESPACE",
    "COMMAND_TAG",
    "CommandCall",
    "CommandSpec",
    "call_element",
    "command_error",
    "expired_error",
    "failure_element",
    "parse_call",
    "read_reply",
    "result_element",
    "unknown_error",
    "wrong_arguments_error",
]

COMMANDS_NAMESPACE = "http://jabber.org/protocol/commands"
CALL_NAMESPACE = "urn:iotxmpp:command:0"
COMMAND_TAG = f"{{{COMMANDS_NAMESPACE}}}command"

_NOTE_TAG = f"{{{COMMANDS_NAMESPACE}}}note"
_CALL_TAG = f"{{{CALL_NAMESPACE}}}call"
_FAILURE_TAG = f"{{{CALL_NAMESPACE}}}failure"
_BAD_PAYLOAD = f"{{{COMMANDS_NAMESPACE}}}bad-payload"
_BAD_ACTION = f"{{{COMMANDS_NAMESPACE}}}bad-action"
_EXPIRED = f"{{{COMMANDS_NAMESPACE}}}session-expired"
_LONGEST_ID = 256
_LONGEST_NOTE = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandCall:
    """A call of a command, as it came.

    Attributes:
        name: The command's name.
        arguments_json: Its arguments as JSON text, unchecked; None where there are none.
        id: Names this call: the same id again means the same call again.
        expires: It must not start after this time, in seconds since 1970 (UTC); None for no limit.
    """

    name: str
    arguments_json: str | None
    id: str
    expires: float | None


def call_element(
    name: str,
    arguments: Mapping[str, Any],
    *,
    id: str,  # noqa: A002  # the wire's word
    expires: float | None = None,
) -> Element:
    """The request that calls a command.

    Args:
        name: The command's name.
        arguments: What JSON, pydantic or the standard library's types can hold.
        id: Names this call; give the same one when asking again.
        expires: When it must not be started any more, in seconds since 1970 (UTC).

    Raises:
        ArgumentsError: The arguments cannot travel; nothing was sent.
        InvalidError: The name or the id is empty or cannot travel.
    """
    if not name or not id:
        raise InvalidError("a call needs a command's name and an id")
    command = Element(COMMAND_TAG, {"node": check_text(name, "command"), "action": "execute"})
    command.append(json_element(json_of(dict(arguments), f"command {name}: arguments")))
    call = SubElement(command, _CALL_TAG, {"id": check_text(id, "id of the call")})
    if expires is not None:
        call.set("expires", _date_time(expires))
    return command


def parse_call(element: Element) -> CommandCall:
    """Reads such a request.

    Raises:
        StanzaError: `bad-request`; its detail says whether the action or the payload is wrong.
    """
    name = element.get("node", "")
    if element.tag != COMMAND_TAG or not name:
        raise stanza_error("bad-request", "expected <command/> with a node")
    if element.get("action", "execute") != "execute":
        raise stanza_error("bad-request", "commands take one step: use action execute", _BAD_ACTION)
    call = element.find(_CALL_TAG)
    given = call.attrib if call is not None else {}
    call_id = given.get("id", "") or secrets.token_hex(8)
    if len(call_id) > _LONGEST_ID:
        raise stanza_error(
            "bad-request", f"the call's id is longer than {_LONGEST_ID} characters", _BAD_PAYLOAD
        )
    return CommandCall(
        name=name,
        arguments_json=_arguments_json(element),
        id=call_id,
        expires=_seconds(given["expires"]) if "expires" in given else None,
    )


def result_element(call: CommandCall, result: object) -> Element:
    """The answer to a call that succeeded: the result as JSON, and as text for people.

    Raises:
        InvalidError: The result cannot travel as JSON.
    """
    try:
        text = json_of(result, "result")
    except ArgumentsError as error:
        raise InvalidError(str(error)) from error
    answer = _answer(call, "info", "done" if result is None else result if isinstance(result, str) else text)
    answer.append(json_element(text))
    return answer


def failure_element(call: CommandCall, text: str) -> Element:
    """The answer to a call that was started and failed, and why, for people."""
    answer = _answer(call, "error", text)
    SubElement(answer, _FAILURE_TAG)
    return answer


def unknown_error(call: CommandCall, known: Mapping[str, object]) -> StanzaError:
    """The refusal of a command that is not there."""
    names = ", ".join(sorted(known)) or "none"
    return stanza_error("item-not-found", f"no command {call.name}; this device has: {names}")


def wrong_arguments_error(error: ArgumentsError) -> StanzaError:
    """The refusal of arguments that do not fit (XEP-0050 section 4.4, `bad-payload`)."""
    return stanza_error("bad-request", clean_text(str(error), _LONGEST_NOTE), _BAD_PAYLOAD)


def expired_error(call: CommandCall) -> StanzaError:
    """The refusal of a call that came too late (XEP-0050 section 4.4, `session-expired`)."""
    return stanza_error(
        "not-acceptable", f"command {call.name}: the call expired before it could start", _EXPIRED
    )


def read_reply(element: Element | None) -> Any:  # noqa: ANN401  # whatever JSON held
    """The result in a device's answer; the note's text where another implementation sent no JSON.

    Raises:
        CommandFailedError: The command was started and failed.
        CommandError: The answer breaks XEP-0050, or asks for more steps.
    """
    if element is None or element.tag != COMMAND_TAG:
        raise CommandError("the answer holds no <command/>; the command may have run")
    status = element.get("status")
    notes = {note.get("type", "info"): note.text or "" for note in element.findall(_NOTE_TAG)}
    if "error" in notes or element.find(_FAILURE_TAG) is not None:
        raise CommandFailedError(notes.get("error") or "the device gives no reason")
    if status != "completed":
        raise CommandError(f"the answer has status {status}: this command takes more than one step")
    result = element.find(JSON_TAG)
    if result is None:
        return notes.get("info") or None
    try:
        return json.loads(json_text(result))
    except (ValueError, RecursionError) as error:
        raise CommandError(f"the command ran, but its result is no JSON: {error}") from error


def command_error(error: StanzaError) -> CommandError:
    """What a refusal means to the caller."""
    text = error.text or error.condition
    if error.detail == _BAD_PAYLOAD:
        return ArgumentsError(text)
    if error.detail == _EXPIRED:
        return CommandError(error.text or "the call expired before it could start")
    match error:
        case ForbiddenError():
            return NotAllowedError(error.text or "the device does not obey this account")
        case NotFoundError():
            return UnknownCommandError(error.text or "the device has no such command")
        case UnreachableError():
            return DeviceAwayError(f"the device is away, or takes no commands ({text})")
        case _:
            return CommandError(f"the device refused: {error}")


def _answer(call: CommandCall, kind: str, text: str) -> Element:
    answer = Element(COMMAND_TAG, {"node": call.name, "status": "completed", "sessionid": call.id})
    SubElement(answer, _NOTE_TAG, {"type": kind}).text = clean_text(text, _LONGEST_NOTE)
    return answer


def _arguments_json(element: Element) -> str | None:
    payloads = [child for child in element if child.tag != _CALL_TAG]
    if not payloads:
        return None
    if len(payloads) > 1:
        raise stanza_error("bad-request", "expected one <json/> with the arguments", _BAD_PAYLOAD)
    try:
        return json_text(payloads[0])
    except InvalidError as error:
        raise stanza_error("bad-request", str(error), _BAD_PAYLOAD) from error


def _date_time(seconds: float) -> str:
    """XEP-0082's DateTime."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidError(f"expires: {seconds} is no time since 1970") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise stanza_error("bad-request", f"expires: {error}", _BAD_PAYLOAD) from error
    if moment.tzinfo is None:
        raise stanza_error("bad-request", f"expires: {text!r} has no time zone (XEP-0082)", _BAD_PAYLOAD)
    try:
        return moment.timestamp()
    except OverflowError as error:
        raise stanza_error("bad-request", f"expires: {error}", _BAD_PAYLOAD) from error
