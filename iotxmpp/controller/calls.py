"""Calls a command on a device and says what became of it."""

import secrets
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from iotxmpp.commands import call_element, command_error, read_reply
from iotxmpp.errors import (
    ArgumentsError,
    CommandCancelledError,
    CommandConflictError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    DeviceAwayError,
    LinkDownError,
    NoAnswerError,
    NotAllowedError,
    StanzaError,
    UnknownCommandError,
)
from iotxmpp.link import Link

OnOutcome = Callable[[str, float], None]
"""Told the outcome, one of a small closed set, and the seconds that it took."""

_OUTCOMES: tuple[tuple[type[Exception], str], ...] = (
    (CommandFailedError, "failed"),
    (ArgumentsError, "wrong-arguments"),
    (UnknownCommandError, "unknown-command"),
    (NotAllowedError, "not-allowed"),
    (CommandExpiredError, "expired"),
    (CommandCancelledError, "cancelled"),
    (CommandUnknownError, "unknown"),
    (CommandConflictError, "conflict"),
    (DeviceAwayError, "away"),
    (NoAnswerError, "no-answer"),
    (LinkDownError, "link-down"),
)


def outcome_of(error: BaseException) -> str:
    """A command's error as a short word for a metric's label."""
    return next((word for kind, word in _OUTCOMES if isinstance(error, kind)), "error")


class Measured:
    """Tells what became of the call inside, and how long it took."""

    __slots__ = ("_on_outcome", "_started")

    def __init__(self, on_outcome: OnOutcome) -> None:
        """Takes whom to tell; the time runs from here."""
        self._on_outcome = on_outcome
        self._started = time.monotonic()

    def __enter__(self) -> None:
        """The call begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It has ended."""
        outcome = "ok"
        if error is not None:
            outcome = outcome_of(error) if isinstance(error, Exception) else "cancelled"
        self._on_outcome(outcome, time.monotonic() - self._started)


async def call_command(
    link: Link, to: str, command: str, arguments: Mapping[str, Any], *, timeout: float
) -> Any:  # noqa: ANN401  # whatever the command gives
    """Calls a command of a session, and returns its result.

    The call expires with the timeout, so that a device that gets it late does not start it.

    Args:
        link: The link to send by.
        to: The full JID.
        command: The command's name.
        arguments: Its arguments.
        timeout: Seconds to wait for the answer.

    Raises:
        CommandError: It was not carried out as asked; its subclass says how.
        NoAnswerError: No answer in time: it may have been carried out.
        LinkDownError: The link went down: it may have been carried out.
    """
    try:
        return await exchange(link, to, command, arguments, timeout=timeout)
    except StanzaError as error:
        raise command_error(error) from error


async def exchange(link: Link, to: str, command: str, arguments: Mapping[str, Any], *, timeout: float) -> Any:  # noqa: ANN401  # whatever the command gives
    """As `call_command`, but a refusal is raised as it came: `StanzaError`."""
    element = call_element(
        command, arguments, id=secrets.token_hex(8), expires=time.time() + timeout, within=timeout
    )
    return read_reply(await link.call(to, element, timeout=timeout))
