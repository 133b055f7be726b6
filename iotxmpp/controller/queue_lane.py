"""The queue of one device: one command after another, each asked until a definite answer is there."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from iotxmpp import crashpoints
from iotxmpp.backoff import Backoff
from iotxmpp.commands import call_element, cancel_element, read_reply
from iotxmpp.commands.calls import BAD_SESSION
from iotxmpp.commands.refusals import BAD_ACTION
from iotxmpp.controller.asking import ask_each
from iotxmpp.controller.device import Device
from iotxmpp.controller.queue_answers import NOT_STARTED, Attempt, definite, of_reply
from iotxmpp.controller.queue_ticket import Entry
from iotxmpp.controller.queued import QueuedCommand
from iotxmpp.errors import (
    CommandCancelledError,
    CommandError,
    InvalidError,
    LinkDownError,
    NoAnswerError,
    StanzaError,
    StoreError,
)
from iotxmpp.link import Link

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds that an answer may take until the device is asked again under the same id."""

GRACE = 60.0
"""Seconds beyond its expiry for which what became of a command is asked."""

FIRST_PAUSE = 0.5
"""Seconds at most before a device is asked for the second time; the pause then grows."""

LOOK_EVERY = 5.0
"""Seconds after which a device is looked at without news of it."""

CANCEL_PATIENCE = 2.0
"""Seconds for which who cancels waits for the device; it is asked again later, as soon as it is there."""


class End(Protocol):
    """Ends a command in the store."""

    async def __call__(self, command: QueuedCommand) -> bool:
        """Whether it was this that ended it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """What a lane deals with.

    Attributes:
        link: The link to send by.
        find: Gives the device; None while it is not known.
        load: Gives a command by its id.
        sending: Notes that one is about to be sent; whether it still may be.
        end: Ends one.
        keep: Notes that one is too late to be cancelled.
    """

    link: Link
    find: Callable[[], Device | None]
    load: Callable[[str], Awaitable[QueuedCommand | None]]
    sending: Callable[[str], Awaitable[bool]]
    end: End
    keep: Callable[[str], Awaitable[bool]]


class Lane:
    """The commands that wait for one device.

    Args:
        device: The device's id.
        peer: What it deals with.
        empty: Told the device's id when nothing waits any more.
        backoff: When to ask again.
    """

    def __init__(
        self, device: str, peer: Peer, empty: Callable[[str], None], *, backoff: Backoff | None = None
    ) -> None:
        self._device = device
        self._peer = peer
        self._empty = empty
        self._backoff = backoff or Backoff(first=FIRST_PAUSE, longest=30.0)
        self._waiting: deque[Entry] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def put(self, entry: Entry) -> None:
        """Puts a command behind all others."""
        self._waiting.append(entry)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"iotxmpp commands of {self._device}")

    def look(self) -> None:
        """Something is new: of the device, of our link, or of a command."""
        self._news.set()

    async def close(self) -> None:
        """Sends nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def cancel(self, entry: Entry) -> None:
        """Asks the device at once not to start a command that was sent; the lane asks again later."""
        command = await self._peer.load(entry.id)
        device, to = self._peer.find(), None if command is None else self._session(command)
        if command is not None and not command.ended and device is not None and to is not None:
            ending = await self._ask_back(entry, command, device, to, CANCEL_PATIENCE)
            if ending is not None:
                await self._peer.end(ending)
        self.look()

    async def _run(self) -> None:
        while self._waiting:
            try:
                await self._carry_out(self._waiting[0])
            except StoreError as error:
                log.warning("commands of %s wait for the store: %s", self._device, error)
                await asyncio.sleep(self._backoff.next_delay())
            except Exception:
                log.exception("command %s of %s could not be dealt with", self._waiting[0].id, self._device)
                await asyncio.sleep(self._backoff.longest_delay())
            else:
                self._waiting.popleft()
        self._empty(self._device)

    async def _carry_out(self, entry: Entry) -> None:
        """Brings one command to its end."""
        command = None if entry.ended else await self._peer.load(entry.id)
        if command is None or command.ended:
            return
        attempt = Attempt(uncertain=command.sent > 0)
        entry.cancelling = entry.cancelling or command.cancelling
        while not entry.ended:
            self._news.clear()
            device, to = self._peer.find(), self._session(command)
            ending = attempt.late(command, command.expires - entry.expiry.left(), GRACE)
            if ending is None and entry.cancelling:
                ending = attempt.taken_back(command)
            wished = entry.cancelling
            if ending is None and device is not None and to is not None:
                if wished:
                    ending = await self._ask_back(entry, command, device, to, PATIENCE)
                else:
                    ending, command = await self._send(attempt, entry, command, device, to)
            if ending is not None:
                self._backoff.reset()
                crashpoints.at("queue.answered")
                await self._end(ending)
                return
            if entry.cancelling == wished:  # else there is something to do at once
                await self._wait(command, asked=to, left=entry.expiry.left())

    def _session(self, command: QueuedCommand) -> str | None:
        """The session to send to, where the device is there and awake."""
        device = self._peer.find()
        seen = None if device is None else device.sessions.current
        if device is None or seen is None or not device.online or not self._peer.link.state.up:
            return None
        if command.sent and (device.about is None or seen.status is None):
            return None  # these say whether it may be asked again
        return seen.presence.sender

    async def _send(
        self, attempt: Attempt, entry: Entry, command: QueuedCommand, device: Device, to: str
    ) -> tuple[QueuedCommand | None, QueuedCommand]:
        """Sends a command if it may be sent; its end, None where that is not known, and how it is now."""
        ending = attempt.pointless(command, device)
        if ending is None and await self._peer.sending(entry.id):
            entry.sent = True
            command = _sent(command)
            crashpoints.at("queue.sent")
            ending = await self._ask(attempt, entry, command, device, to)
        return ending, command

    async def _ask(
        self, attempt: Attempt, entry: Entry, command: QueuedCommand, device: Device, to: str
    ) -> QueuedCommand | None:
        """Sends a command, and says how it ended; None where that is not known."""
        left = max(0.0, entry.expiry.left())
        element = call_element(
            command.name,
            command.arguments,
            id=command.id,
            expires=command.expires,
            within=left,
            by=command.by,
        )
        repeatable = attempt.repeatable(command, device)
        attempt.asked(to)

        def answered(by: str) -> None:
            if by != to:  # the first may have started it all the same
                attempt.unanswered(command, device, NoAnswerError(f"{to} gave no answer"))
            device.answered(by)

        if repeatable:
            asking = ask_each(
                self._peer.link,
                # What is to be cancelled goes to no other session before the wish does.
                lambda: [to] if entry.cancelling else device.sessions.to_ask or [to],
                element,
                answered=answered,
                timeout=PATIENCE,
            )
        else:
            asking = self._ask_once(to, element, left + GRACE, answered)
        try:
            answer = await self._answer(command, to, asking)
        except (LinkDownError, NoAnswerError) as error:
            return attempt.unanswered(command, device, error)
        except StanzaError as error:
            return attempt.refused(command, device, error, there=self._session(command) == to)
        except InvalidError as error:  # larger than the link takes
            return definite(command, "rejected", str(error), reason="wrong-arguments")
        return of_reply(command, answer)

    async def _ask_back(
        self, entry: Entry, command: QueuedCommand, device: Device, to: str, timeout: float
    ) -> QueuedCommand | None:
        """Asks the device not to start a command; how it ended by that, None where it did not.

        Where it was started already, it is not `cancelling` any more.
        """
        try:
            answer = await ask_each(
                self._peer.link,
                lambda: device.sessions.to_ask or [to],
                cancel_element(command.name, id=command.id),
                answered=device.answered,
                timeout=timeout,
            )
            read_reply(answer)
        except CommandCancelledError:
            return definite(command, "cancelled", NOT_STARTED)
        except StanzaError as error:
            if error.detail == BAD_SESSION:  # it will not run now, and nobody knows whether it did
                return definite(command, "unknown", f"cancelled; it may have run before: {error.text}")
            if error.detail == BAD_ACTION:
                await self._peer.keep(entry.id)
                entry.cancelling = False
            log.info("command %s of %s is not cancelled: %s", entry.id, self._device, error)
        except (CommandError, LinkDownError, NoAnswerError) as error:
            log.info("command %s of %s is not cancelled yet: %s", entry.id, self._device, error)
        return None

    async def _ask_once(
        self, to: str, element: Element, timeout: float, answered: Callable[[str], None]
    ) -> Element | None:
        answer = await self._peer.link.call(to, element, timeout=timeout)
        answered(to)
        return answer

    async def _answer(
        self, command: QueuedCommand, to: str, ask: Coroutine[Any, Any, Element | None]
    ) -> Element | None:
        """The answer of a session; none comes any more once the device has another one."""
        asking = asyncio.create_task(ask)
        moving = asyncio.create_task(self._moved(command, to))
        try:
            await asyncio.wait({asking, moving}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise NoAnswerError(f"{to} gave no answer, and {self._device} has a new session since")
            return asking.result()
        finally:
            asking.cancel()
            moving.cancel()
            await asyncio.gather(asking, moving, return_exceptions=True)

    async def _moved(self, command: QueuedCommand, to: str) -> None:
        """Returns when the device is there with another session than this."""
        while self._session(command) in {None, to}:
            self._news.clear()
            await self._news.wait()

    async def _end(self, command: QueuedCommand) -> None:
        """Ends a command; while the store fails, again and again."""
        while True:
            try:
                await self._peer.end(command)
            except StoreError as error:
                log.warning("command %s is %s, and waits for the store: %s", command.id, command.state, error)
                await asyncio.sleep(self._backoff.next_delay())
            else:
                return

    async def _wait(self, command: QueuedCommand, *, asked: str | None, left: float = 0.0) -> None:
        """Waits for news, or a while; one that was asked is asked again later, or at its next session."""
        if asked is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._backoff.next_delay()):
                    await self._moved(command, asked)
            return
        if left <= 0:
            left += GRACE
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(0.01, left), LOOK_EVERY)):
                await self._news.wait()


def _sent(command: QueuedCommand) -> QueuedCommand:
    first = time.time() if command.first_sent is None else command.first_sent
    return replace(command, state="sent", sent=command.sent + 1, first_sent=first)
