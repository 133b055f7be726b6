"""A command that was queued with a time to live, and the states that it can be in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandConflictError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    NotAllowedError,
    UnknownCommandError,
)

CommandState = Literal["queued", "sent", "done", "failed", "rejected", "expired", "cancelled", "unknown"]

COMMAND_STATES: tuple[CommandState, ...] = get_args(CommandState)

CANCELLING = "cancelling"
"""The reason of a command that was sent, and that somebody wants to be cancelled."""

OPEN: tuple[CommandState, ...] = ("queued", "sent")
"""The states of a command that has not ended."""

_REJECTIONS: dict[str, type[CommandError]] = {
    "wrong-arguments": ArgumentsError,
    "unknown-command": UnknownCommandError,
    "not-allowed": NotAllowedError,
    "conflict": CommandConflictError,
}
_ENDS: dict[CommandState, type[CommandError]] = {
    "failed": CommandFailedError,
    "expired": CommandExpiredError,
    "cancelled": CommandCancelledError,
    "unknown": CommandUnknownError,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedCommand:
    """A command with a time to live, as the store has it.

    Times are by the controller's clock, in seconds since 1970 (UTC).

    Attributes:
        id: Names it, for the device, too: the same id is never carried out twice.
        device: The device's id.
        name: The command's name.
        arguments: Its arguments.
        by: The bare JID of whom it is called for; empty for the controller itself.
        created: When it was queued.
        expires: It is not started after this.
        state: `queued`: not sent yet. `sent`: the answer is not there. `done`. `failed`: it ran, and failed.
            `rejected`: the device refused it. `expired` and `cancelled`: it was never started. `unknown`: it
            may have run.
        reason: A rejection's kind, for programs: `wrong-arguments`, `unknown-command`, `not-allowed`,
            `conflict` or `refused`; `cancelling` of one that is `sent`, and is taken back as soon as the
            device is there; else empty.
        text: What became of it, for people.
        result: What it gave, once it is done.
        sent: How often it was sent.
        first_sent: When it was sent first; None for never.
        updated: When its state changed last, or it was sent last.
    """

    id: str
    device: str
    name: str
    arguments: dict[str, Any]
    by: str = ""
    created: float
    expires: float
    state: CommandState = "queued"
    reason: str = ""
    text: str = ""
    result: Any = None
    sent: int = 0
    first_sent: float | None = None
    updated: float

    @property
    def ended(self) -> bool:
        """Whether what became of it will not change any more."""
        return self.state not in OPEN

    @property
    def cancelling(self) -> bool:
        """Whether it was sent, and is taken back as soon as the device is there."""
        return self.state == "sent" and self.reason == CANCELLING

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The command that `as_data` described, perhaps another version's.

        Raises:
            CommandError: Something is missing.
        """
        try:
            return cls(**{each.name: data[each.name] for each in fields(cls) if each.name in data})
        except (TypeError, KeyError) as error:
            raise CommandError(f"the controller's answer is not understood: {error}") from error

    def as_data(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self)

    def outcome(self) -> Any:  # noqa: ANN401  # whatever the command gave
        """Its result, once it has ended.

        Raises:
            CommandError: It was not carried out as asked; its subclass says how.
        """
        if self.state == "done":
            return self.result
        text = f"command {self.name} of {self.device} ({self.id}): {self.text or self.state}"
        if self.state == "rejected":
            raise _REJECTIONS.get(self.reason, CommandError)(text)
        raise _ENDS.get(self.state, CommandError)(text)
