"""Why a command was not started: the stanza errors, and what they mean to the caller."""

from collections.abc import Mapping
from typing import Final

from iotxmpp.commands.calls import BAD_PAYLOAD, BAD_SESSION, COMMANDS_NAMESPACE, LONGEST_ID, CommandCall
from iotxmpp.errors import (
    ArgumentsError,
    CommandConflictError,
    CommandError,
    CommandExpiredError,
    ConflictError,
    DeviceAwayError,
    ForbiddenError,
    NotAllowedError,
    NotFoundError,
    StanzaError,
    UnknownCommandError,
    UnreachableError,
    stanza_error,
)
from iotxmpp.xmltext import clean_text

EXPIRED: Final = f"{{{COMMANDS_NAMESPACE}}}session-expired"

LONGEST_NOTE: Final = 2000
"""Characters of what a note or a refusal says to people."""

BAD_ACTION: Final = f"{{{COMMANDS_NAMESPACE}}}bad-action"

_MEANINGS: tuple[tuple[type[StanzaError], type[CommandError], str], ...] = (
    (ForbiddenError, NotAllowedError, "the device does not obey this account"),
    (NotFoundError, UnknownCommandError, "the device has no such command"),
    (ConflictError, CommandConflictError, "the call's id was used for another call before"),
)


def unknown_error(call: CommandCall, known: Mapping[str, object]) -> StanzaError:
    """The refusal of a command that is not there."""
    names = ", ".join(sorted(known)) or "none"
    return stanza_error("item-not-found", f"no command {call.name}; this device has: {names}")


def wrong_arguments_error(error: ArgumentsError) -> StanzaError:
    """The refusal of arguments that do not fit (XEP-0050 section 4.4, `bad-payload`)."""
    return stanza_error("bad-request", clean_text(str(error), LONGEST_NOTE), BAD_PAYLOAD)


def expired_error(call: CommandCall) -> StanzaError:
    """The refusal of a call that came too late (XEP-0050 section 4.4, `session-expired`)."""
    return stanza_error(
        "not-acceptable", f"command {call.name}: the call expired before it could start", EXPIRED
    )


def conflict_error(call: CommandCall) -> StanzaError:
    """The refusal of an id that was used for another command or with other arguments."""
    return stanza_error(
        "conflict",
        f"command {call.name}: the id {clean_text(call.id, LONGEST_ID)} was used for another call before;"
        " give each call an id of its own",
    )


def too_late_error(call: CommandCall) -> StanzaError:
    """The refusal to cancel a call that runs or has ended (XEP-0050 section 4.4, `bad-action`)."""
    return stanza_error(
        "bad-request", f"command {call.name}: too late to cancel: the call was started", BAD_ACTION
    )


def bad_session_error(call: CommandCall) -> StanzaError:
    """The refusal of a session or an id that the device does not know (XEP-0050 section 4.4)."""
    return stanza_error(
        "bad-request",
        f"command {call.name}: there is no such session, or it was left too long; start again",
        BAD_SESSION,
    )


def command_error(error: StanzaError) -> CommandError:
    """What a refusal means to the caller."""
    text = error.text or error.condition
    if error.detail == BAD_PAYLOAD:
        return ArgumentsError(text)
    if error.detail == EXPIRED:
        return CommandExpiredError(error.text or "the call expired before it could start")
    if isinstance(error, UnreachableError):
        return DeviceAwayError(f"the device is away, or takes no commands ({text})")
    for kind, meaning, otherwise in _MEANINGS:
        if isinstance(error, kind):
            return meaning(error.text or otherwise)
    return CommandError(f"the device refused: {error}")
