"""What a caller sends: the call of a command, and its cancellation."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast, get_args
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.addresses import bare_jid
from iotxmpp.arguments import json_of
from iotxmpp.errors import InvalidError, StanzaError, stanza_error
from iotxmpp.payloads import JSON_TAG, json_element, json_text
from iotxmpp.xmltext import check_text

COMMANDS_NAMESPACE: Final = "http://jabber.org/protocol/commands"
CALL_NAMESPACE: Final = "urn:iotxmpp:command:0"
COMMAND_TAG: Final = f"{{{COMMANDS_NAMESPACE}}}command"

Action = Literal["execute", "next", "prev", "complete", "cancel"]
"""What a caller wants of a command (XEP-0050 section 3.4)."""

BAD_PAYLOAD: Final = f"{{{COMMANDS_NAMESPACE}}}bad-payload"
BAD_SESSION: Final = f"{{{COMMANDS_NAMESPACE}}}bad-sessionid"

LONGEST_ID: Final = 256
"""Characters of a call's or a session's id."""

_MALFORMED_ACTION = f"{{{COMMANDS_NAMESPACE}}}malformed-action"
_CALL_TAG = f"{{{CALL_NAMESPACE}}}call"
_FORM_TAG = "{jabber:x:data}x"
_ACTIONS: tuple[str, ...] = get_args(Action)


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandCall:
    """A call of a command, as it came.

    Attributes:
        name: The command's name.
        action: What is wanted of it; `execute` with a session means the page's own default action.
        session: Which session of the person's door it belongs to (XEP-0050's sessionid); empty for none.
        arguments_json: Its arguments as JSON text, unchecked; None where there are none.
        form: Its arguments as a submitted form, unchecked; None where there is none.
        id: Names this call: the same id again means the same call again. It is `<call/>`'s, or else the
            session's, or else a new one.
        expires: It must not start after this time, in seconds since 1970 (UTC); None for no limit.
        within: Seconds that were left when it was sent; None for no limit.
        by: The bare JID of the person on whose behalf a controller calls; empty for the sender itself.
        machine: Whether it carried `<call/>` or `<json/>`, as no person's client does.
    """

    name: str
    action: Action = "execute"
    session: str = ""
    arguments_json: str | None = None
    form: Element | None = None
    id: str
    expires: float | None = None
    within: float | None = None
    by: str = ""
    machine: bool = False


def call_element(  # noqa: PLR0913  # what a call can say
    name: str,
    arguments: Mapping[str, Any],
    *,
    id: str,  # noqa: A002  # the wire's word
    expires: float | None = None,
    within: float | None = None,
    by: str = "",
) -> Element:
    """The request that calls a command.

    Args:
        name: The command's name.
        arguments: What JSON, pydantic or the standard library's types can hold.
        id: Names this call; give the same one when asking again.
        expires: When it must not be started any more, in seconds since 1970 (UTC).
        within: Seconds that are left to start it, for a device whose clock is wrong.
        by: The bare JID of the person on whose behalf a controller calls.

    Raises:
        ArgumentsError: The arguments cannot travel; nothing was sent.
        InvalidError: The name or the id is empty or cannot travel, or a time or the person's JID is none.
    """
    command = _request(name, id, action="execute")
    if arguments:
        command.append(json_element(json_of(dict(arguments), f"command {name}: arguments")))
    call = SubElement(command, _CALL_TAG, {"id": id})
    if expires is not None:
        call.set("expires", _date_time(expires))
    if within is not None:
        if not math.isfinite(within):
            raise InvalidError(f"within: {within} is no number of seconds")
        call.set("within", f"{within:.3f}")
    if by:
        call.set("by", bare_jid(by))
    return command


def cancel_element(name: str, *, id: str) -> Element:  # noqa: A002  # the wire's word
    """The request that cancels a call that was not started yet (XEP-0050 section 3.4).

    The answer has status `canceled`, which `read_reply` raises as `CommandCancelledError`.

    Args:
        name: The command's name.
        id: The id of the call.

    Raises:
        InvalidError: The name or the id is empty or cannot travel.
    """
    command = _request(name, id, action="cancel")
    command.set("sessionid", id)
    SubElement(command, _CALL_TAG, {"id": id})
    return command


def parse_call(element: Element) -> CommandCall:
    """Reads such a request, a machine's or a person's.

    Raises:
        StanzaError: `bad-request`; its detail says whether the action, the session or the payload is wrong.
    """
    name = element.get("node", "")
    if element.tag != COMMAND_TAG or not name:
        raise stanza_error("bad-request", "expected <command/> with a node")
    call = element.find(_CALL_TAG)
    given = call.attrib if call is not None else {}
    session = element.get("sessionid", "")
    call_id = given.get("id", "") or session or secrets.token_hex(8)
    if len(session) > LONGEST_ID:
        raise stanza_error(
            "bad-request", f"the sessionid is longer than {LONGEST_ID} characters", BAD_SESSION
        )
    if len(call_id) > LONGEST_ID:
        raise _bad_payload(f"the call's id is longer than {LONGEST_ID} characters")
    payload = _payload(element)
    action, form = _action(element), payload if payload is not None and payload.tag == _FORM_TAG else None
    if form is not None and form.get("type", "submit") == "cancel":
        action, form = "cancel", None
    return CommandCall(
        name=name,
        action=action,
        session=session,
        arguments_json=_arguments_json(payload),
        form=form,
        id=call_id,
        expires=_seconds(given["expires"]) if "expires" in given else None,
        within=_duration(given["within"]) if "within" in given else None,
        by=_person(given["by"]) if given.get("by") else "",
        machine=call is not None or (payload is not None and payload.tag == JSON_TAG),
    )


def _request(name: str, call_id: str, *, action: Action) -> Element:
    if not name or not call_id:
        raise InvalidError("a call needs a command's name and an id")
    check_text(call_id, "id of the call")
    return Element(COMMAND_TAG, {"node": check_text(name, "command"), "action": action})


def _action(element: Element) -> Action:
    action = element.get("action", "execute")
    if action not in _ACTIONS:
        raise stanza_error("bad-request", f"expected action {', '.join(_ACTIONS)} or none", _MALFORMED_ACTION)
    return cast("Action", action)


def _payload(element: Element) -> Element | None:
    payloads = [child for child in element if child.tag != _CALL_TAG]
    if not payloads:
        return None
    if len(payloads) > 1 or payloads[0].tag not in (JSON_TAG, _FORM_TAG):
        raise _bad_payload("expected one <json/>, or one form, with the arguments")
    if payloads[0].tag == _FORM_TAG and payloads[0].get("type", "submit") not in ("submit", "cancel"):
        raise _bad_payload("expected a form of type submit")
    return payloads[0]


def _arguments_json(payload: Element | None) -> str | None:
    if payload is None or payload.tag != JSON_TAG:
        return None
    try:
        return json_text(payload)
    except InvalidError as error:
        raise _bad_payload(str(error)) from error


def _bad_payload(text: str) -> StanzaError:
    return stanza_error("bad-request", text, BAD_PAYLOAD)


def _person(text: str) -> str:
    try:
        return bare_jid(text)
    except InvalidError as error:
        raise _bad_payload(f"by: {error}") from error


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise _bad_payload("within: expected a number of seconds")
    return seconds


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
        raise _bad_payload(f"expires: {error}") from error
    if moment.tzinfo is None:
        raise _bad_payload(f"expires: {text!r} has no time zone (XEP-0082)")
    try:
        return moment.timestamp()
    except OverflowError as error:
        raise _bad_payload(f"expires: {error}") from error
