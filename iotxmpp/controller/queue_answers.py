"""What an answer to a queued command means, and what it means that there is none."""

import json
import time
from dataclasses import replace
from xml.etree.ElementTree import Element

from iotxmpp.commands import command_error, read_reply
from iotxmpp.controller.device import Device
from iotxmpp.controller.queued import CommandState, QueuedCommand
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandConflictError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    DeviceAwayError,
    IotxmppError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
)
from iotxmpp.xmltext import clean_text

BOUNCES = 3
"""Times that a session which is there may say that it serves no commands."""

NEVER_SENT = "the device did not appear in time; it was never sent"

NOT_STARTED = "the device had not started it"

_LONGEST_TEXT = 2_000
_TRY_LATER = "resource-constraint"
_BROKEN = "internal-server-error"
_REASONS: tuple[tuple[type[CommandError], str], ...] = (
    (ArgumentsError, "wrong-arguments"),
    (UnknownCommandError, "unknown-command"),
    (NotAllowedError, "not-allowed"),
    (CommandConflictError, "conflict"),
)


def definite(
    command: QueuedCommand, state: CommandState, text: str = "", *, reason: str = ""
) -> QueuedCommand:
    """The command as it ended."""
    return replace(command, state=state, reason=reason, text=clean_text(text, _LONGEST_TEXT))


def of_reply(command: QueuedCommand, answer: Element | None) -> QueuedCommand:
    """The command as it ended by an answer."""
    try:
        result = read_reply(answer)
        json.dumps(result, allow_nan=False)
    except CommandFailedError as error:
        return definite(command, "failed", str(error))
    except CommandCancelledError as error:
        return definite(command, "cancelled", str(error))
    except CommandError as error:
        return definite(command, "unknown", str(error))
    except (ValueError, RecursionError) as error:
        return definite(command, "done", f"it ran, but its result is no JSON: {error}")
    return replace(definite(command, "done"), result=result)


class Attempt:
    """What is known of one command while it is brought to its end.

    Args:
        uncertain: It was sent before, and what became of that is not known.
    """

    def __init__(self, *, uncertain: bool) -> None:
        self._uncertain = uncertain
        self._to = ""
        self._bounces = 0

    def taken_back(self, command: QueuedCommand) -> QueuedCommand | None:
        """How a command ends that somebody wants to be cancelled; None where the device must be asked."""
        return None if self._uncertain else definite(command, "cancelled", NOT_STARTED)

    def asked(self, to: str) -> None:
        """The command goes to this session."""
        if to != self._to:
            self._to, self._bounces = to, 0

    def late(self, command: QueuedCommand, now: float, grace: float) -> QueuedCommand | None:
        """How the command ends by the clock alone; None where it does not yet.

        Args:
            command: The command.
            now: The time, in seconds since 1970.
            grace: Seconds beyond its expiry for which one that may have started is asked after.
        """
        if now >= command.expires and not self._uncertain:
            text = "the device did not take it in time; it was not started" if command.sent else NEVER_SENT
            return definite(command, "expired", text)
        if now >= command.expires + grace:
            return definite(command, "unknown", "it was sent, and no answer came in time: it may have run")
        return None

    @staticmethod
    def repeatable(command: QueuedCommand, device: Device) -> bool:
        """Whether the device says that asking twice under one id is harmless."""
        about = None if device.about is None else device.about.commands.get(command.name)
        return about is not None and "once" in about.model_fields_set

    def pointless(self, command: QueuedCommand, device: Device) -> QueuedCommand | None:
        """How the command ends because it must not be sent again; None where it may be."""
        if not self._uncertain:
            return None
        if not self.repeatable(command, device):
            text = "it was sent, no answer came, and the device does not say that it remembers calls"
            return definite(command, "unknown", f"{text}: it may have run")
        if _has_forgotten(command, device):
            text = "it was sent, no answer came, and the device has started anew since, its journal in memory"
            return definite(command, "unknown", f"{text}: it may have run")
        return None

    def unanswered(self, command: QueuedCommand, device: Device, error: IotxmppError) -> QueuedCommand | None:
        """No answer came: how the command ends; None where it can be asked again."""
        self._uncertain = True
        if self.repeatable(command, device):
            return None
        return definite(command, "unknown", f"{error}; it may have run")

    def refused(
        self, command: QueuedCommand, device: Device, error: StanzaError, *, there: bool
    ) -> QueuedCommand | None:
        """The answer is an error: how the command ends; None where it is to be sent again.

        Args:
            command: The command.
            device: Its device.
            error: The error.
            there: The session that was asked is still the device's. If it is not, its server gave the answer:
                the device can have had the command before.
        """
        meaning = command_error(error)
        if isinstance(meaning, DeviceAwayError):
            return self._bounced(command, device, error) if there else self.unanswered(command, device, error)
        if error.condition == _BROKEN:
            return self.unanswered(command, device, error)
        if error.condition == _TRY_LATER:
            return None
        if isinstance(meaning, CommandExpiredError):
            return self._expired(command, device, meaning)
        reason = next((word for kind, word in _REASONS if isinstance(meaning, kind)), "refused")
        if self._uncertain and reason != "wrong-arguments":
            text = f"it was sent before, and is refused now ({meaning}): it may have run"
            return definite(command, "unknown", text)
        return definite(command, "rejected", str(meaning), reason=reason)

    def _bounced(self, command: QueuedCommand, device: Device, error: StanzaError) -> QueuedCommand | None:
        self._bounces += 1
        if self._bounces < BOUNCES:
            return None
        if self._uncertain:
            return self.unanswered(command, device, error)
        return definite(command, "rejected", "the device takes no commands", reason="refused")

    def _expired(self, command: QueuedCommand, device: Device, error: CommandError) -> QueuedCommand:
        about = None if device.about is None else device.about.commands.get(command.name)
        if self._uncertain and about is not None and about.once == "idempotent":  # nobody remembers the first
            return definite(command, "unknown", "it was sent before its expiry, and no answer came")
        return definite(command, "expired", str(error))


def _has_forgotten(command: QueuedCommand, device: Device) -> bool:
    """Whether the device's journal may have been lost since the command was sent first."""
    about = None if device.about is None else device.about.commands.get(command.name)
    if about is None or about.once != "journal" or command.first_sent is None:
        return False
    status = device.status
    if status is None or status.outbox == "disk":
        return False
    # Its presence is older than now: it started no later than that.
    return time.time() - status.uptime > command.first_sent
