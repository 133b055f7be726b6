"""What whoever queued a command holds of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from iotxmpp.controller.queue_clock import Expiry
from iotxmpp.controller.queued import CommandState, QueuedCommand
from iotxmpp.errors import NoAnswerError


class Entry:
    """A command of the queue that has not ended, as the controller's memory has it.

    Args:
        id: The command's id.
        device: Its device's id.
        expiry: Until when it may start.
        command: The command itself, where somebody holds a ticket.

    Attributes:
        sent: Whether it was sent, as far as this run of the controller knows.
        cancelling: Whether it was sent, and is to be cancelled.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002  # its name everywhere
        device: str,
        expiry: Expiry,
        command: QueuedCommand | None = None,
    ) -> None:
        self.id = id
        self.device = device
        self.expiry = expiry
        self.command = command
        self.sent = False
        self.cancelling = False
        self.over = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether what became of it is known."""
        return self.command is not None and self.command.ended

    def settle(self, command: QueuedCommand) -> None:
        """It has ended so."""
        self.command = command
        self.over.set()

    def abandon(self) -> None:
        """The controller stops before it has ended."""
        self.over.set()


class Ticket:
    """A queued command, for whoever queued it.

    Attributes:
        id: The command's id; `Controller.commands` knows it also after a restart.
    """

    def __init__(self, entry: Entry, cancel: Callable[[str], Awaitable[bool]]) -> None:
        self.id = entry.id
        self._entry = entry
        self._cancel = cancel

    def __repr__(self) -> str:
        return f"Ticket({self.id!r}, {self.state})"

    @property
    def state(self) -> CommandState:
        """Its state; see `QueuedCommand.state`."""
        command = self._entry.command
        if command is not None and command.ended:
            return command.state
        return "sent" if self._entry.sent else "queued"

    async def result(self) -> Any:  # noqa: ANN401  # whatever the command gives
        """Waits until the command has ended, and returns its result.

        Raises:
            CommandExpiredError: It was not started in time.
            CommandCancelledError: It was cancelled before it was started.
            CommandFailedError: It was started and failed.
            CommandUnknownError: It may have run; nobody knows what became of it.
            CommandError: The device refused it; its subclass says how.
            NoAnswerError: The controller stopped before; the command goes on when it runs again.
        """
        await self._entry.over.wait()
        command = self._entry.command
        if command is None or not command.ended:
            raise NoAnswerError(
                f"the controller stopped before command {self.id} of {self._entry.device} ended;"
                " it goes on when the controller runs again, see `iotxmpp commands list`"
            )
        return command.outcome()

    async def cancel(self) -> bool:
        """Cancels the command if it was not started; whether that is so.

        False also while the device is away: the wish is kept then, as `Queue.cancel` tells.

        Raises:
            StoreError: The store could not be read or written.
        """
        return await self._cancel(self.id)
