"""Commands on the wire: XEP-0050 with JSON arguments in one round trip, or with a form for people.

A caller sends `<command/>` with its arguments in `<json/>` (XEP-0335), and an id and an expiry in our
`<call/>` (`urn:iotxmpp:command:0`); a person's client sends a form (XEP-0004) instead. A command that was
never started is answered with an IQ error. One that ran is answered with status `completed`, which XEP-0050
gives to failures too: those carry a `<note type="error">` and our `<failure/>`, and a call that was started
before and whose end nobody knows carries our `<started/>`.
"""

from iotxmpp.arguments import CommandSpec, fingerprint
from iotxmpp.commands.answers import (
    Outcome,
    cancelled_element,
    failure_element,
    read_reply,
    result_element,
    started_element,
)
from iotxmpp.commands.calls import (
    CALL_NAMESPACE,
    COMMAND_TAG,
    COMMANDS_NAMESPACE,
    Action,
    CommandCall,
    call_element,
    cancel_element,
    parse_call,
)
from iotxmpp.commands.progress import Progress, progress_element, read_progress
from iotxmpp.commands.refusals import (
    bad_session_error,
    command_error,
    conflict_error,
    expired_error,
    too_late_error,
    unknown_error,
    wrong_arguments_error,
)

__all__ = [
    "CALL_NAMESPACE",
    "COMMANDS_NAMESPACE",
    "COMMAND_TAG",
    "Action",
    "CommandCall",
    "CommandSpec",
    "Outcome",
    "Progress",
    "bad_session_error",
    "call_element",
    "cancel_element",
    "cancelled_element",
    "command_error",
    "conflict_error",
    "expired_error",
    "failure_element",
    "fingerprint",
    "parse_call",
    "progress_element",
    "read_progress",
    "read_reply",
    "result_element",
    "started_element",
    "too_late_error",
    "unknown_error",
    "wrong_arguments_error",
]
