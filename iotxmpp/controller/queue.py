"""Commands that wait in the store for devices that are away, and are sent when these appear.

A command is in the store before anybody is told that it is queued, its sending before it is sent, and its end
before anybody is told what became of it. So a controller that is killed goes on where it was: what may have
been sent is asked again under the same id, which a device never carries out twice.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from iotxmpp import crashpoints
from iotxmpp.arguments import json_of
from iotxmpp.commands import call_element
from iotxmpp.controller.device import Device
from iotxmpp.controller.queue_answers import NEVER_SENT
from iotxmpp.controller.queue_clock import Expiries, Expiry
from iotxmpp.controller.queue_lane import Lane, Peer
from iotxmpp.controller.queue_ticket import Entry, Ticket
from iotxmpp.controller.queued import CommandState, QueuedCommand
from iotxmpp.controller.store.commands import CommandRows
from iotxmpp.durations import duration
from iotxmpp.errors import CommandConflictError, InvalidError, NotFoundError, StoreError
from iotxmpp.link import Link

log = logging.getLogger(__name__)

LONGEST_ID = 64
"""Characters of a command's id."""

LONGEST_TTL = 366 * 86400.0
"""Seconds that a command may wait at most."""

KEEP = 30 * 86400.0
"""Seconds that an ended command is kept."""

TIDY_EVERY = 3600.0
"""Seconds from one look for those that are older to the next."""

TIDY_PAUSE = 0.05
"""Seconds between two steps of removing them."""


class Counts(Protocol):
    """Counts commands for the metrics."""

    def commands_queued(self, count: int) -> None:
        """So many have not ended."""

    def command_ended(self, state: CommandState) -> None:
        """One has ended so."""


class Queue:
    """The queue of one controller.

    Args:
        rows: The commands in the store.
        between: Does blocking work of the store's in its thread, in the order in which it is asked for.
        link: The link to send by.
        find: Gives a device by its id; None where it is not known.
        counts: Counts commands.
    """

    def __init__(
        self,
        *,
        rows: CommandRows,
        between: Callable[[Callable[[], Any]], Awaitable[Any]],
        link: Link,
        find: Callable[[str], Device | None],
        counts: Counts,
    ) -> None:
        self._rows = rows
        self._between = between
        self._link = link
        self._find = find
        self._counts = counts
        self._entries: dict[str, Entry] = {}
        self._lanes: dict[str, Lane] = {}
        self._expiries = Expiries()
        self._sooner = asyncio.Event()
        self._closed = False
        self._putting = asyncio.Lock()  # so that an id which comes twice at once is one command
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Goes on with what has not ended.

        Raises:
            StoreError: The store could not be read.
        """
        latest = await self._between(self._rows.latest)
        for id_, device, expires, state in await self._between(self._rows.open):
            expiry = Expiry(expires, not_before=latest)
            self._take(Entry(id=id_, device=device, expiry=expiry), waits=state == "queued")
        self._count()
        self._tasks = [
            asyncio.create_task(self._expire(), name="iotxmpp expiry of commands"),
            asyncio.create_task(self._tidy(), name="iotxmpp old commands"),
        ]

    async def close(self) -> None:
        """Sends nothing more; what has not ended stays in the store."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(
            *self._tasks, *(lane.close() for lane in self._lanes.values()), return_exceptions=True
        )
        for entry in self._entries.values():
            entry.abandon()

    async def put(  # noqa: PLR0913  # what a queued command is
        self,
        device: str,
        name: str,
        arguments: Mapping[str, Any],
        *,
        ttl: str | float,
        by: str = "",
        id: str = "",  # noqa: A002  # its name everywhere
    ) -> Ticket:
        """Queues a command behind those that wait for the same device.

        Args:
            device: The device's id.
            name: The command's name.
            arguments: Its arguments.
            ttl: How long it may wait, such as `6h`, or a number of seconds; it is not started later.
            by: The bare JID of whom it is called for; empty for the controller itself.
            id: Names it; the same once more is the same command, and gives its ticket. At random if empty.

        Raises:
            ArgumentsError: The arguments cannot travel.
            CommandConflictError: The id is that of another command.
            InvalidError: The ttl is none, or the name or the id cannot be used.
            CommandError: Too many wait already.
            StoreError: The store could not be written; nothing is queued.
        """
        seconds = duration(ttl, "ttl")
        if seconds > LONGEST_TTL:
            raise InvalidError(f"ttl {ttl!r}: a command waits a year at most")
        if self._closed:
            raise InvalidError(f"command {name} of {device} was not queued: the controller has stopped")
        if len(id) > LONGEST_ID:
            raise InvalidError(f"id {id[:LONGEST_ID]}…: give at most {LONGEST_ID} characters")
        now, id_ = time.time(), id or secrets.token_hex(16)
        call_element(name, arguments, id=id_, by=by)  # raises for what could never be sent
        given = json.loads(json_of(dict(arguments), f"command {name}: arguments"))
        command = QueuedCommand(
            id=id_,
            device=device,
            name=name,
            arguments=given,
            by=by,
            created=now,
            expires=now + seconds,
            updated=now,
        )
        # Shielded: one that the store has, and that is in no lane, would wait until the next start.
        entry = await asyncio.shield(asyncio.ensure_future(self._put(command, may_be_known=bool(id))))
        return Ticket(entry, self.cancel)

    async def find(
        self, device: str | None = None, state: CommandState | None = None, limit: int = 100
    ) -> list[QueuedCommand]:
        """The newest commands that are known, the oldest of them first.

        Raises:
            StoreError: They could not be read.
        """
        found: list[QueuedCommand] = await self._between(lambda: self._rows.find(device, state, limit))
        return found

    async def places(
        self, device: str | None, state: CommandState | None, *, before: str, limit: int
    ) -> list[tuple[str, str]]:
        """Id and device of the newest commands, the newest first; see `CommandRows.places`.

        Raises:
            StoreError: They could not be read.
        """
        found: list[tuple[str, str]] = await self._between(
            lambda: self._rows.places(device, state, before=before, limit=limit)
        )
        return found

    async def beginning(self, start: str, limit: int) -> list[tuple[str, str]]:
        """Id and device of some commands whose ids begin so.

        Raises:
            StoreError: They could not be read.
        """
        found: list[tuple[str, str]] = await self._between(lambda: self._rows.beginning(start, limit))
        return found

    async def get(self, id: str) -> QueuedCommand:  # noqa: A002  # its name everywhere
        """One command.

        Raises:
            NotFoundError: There is none of that id.
            StoreError: It could not be read.
        """
        found: QueuedCommand | None = await self._between(lambda: self._rows.get(id))
        if found is None:
            raise NotFoundError(
                "item-not-found", f"no command {id}; `iotxmpp commands list` lists those that are"
            )
        return found

    async def cancel(self, id: str) -> bool:  # noqa: A002  # as above
        """Cancels a command that was not started; whether that was so.

        One that was sent is asked back from the device. Where the device is away, the wish stays in the
        store, and goes to the device before anything else does: what it did not start until then, it never
        starts. Until that is known the command is `cancelling`, and this is false.

        Raises:
            NotFoundError: There is none of that id.
            StoreError: The store could not be read or written.
        """
        command = await self.get(id)
        if command.state == "queued" and await self._end(
            replace(command, state="cancelled", text="cancelled before it was sent"), only=("queued",)
        ):
            return True
        entry = self._entries.get(id)
        lane = self._lanes.get(command.device)
        if entry is not None and lane is not None:
            before, entry.cancelling = entry.cancelling, True  # no other session is asked from now on
            try:
                noted = await self._between(lambda: self._rows.cancelling(id, wanted=True))
            except StoreError:
                entry.cancelling = before
                raise
            if noted:
                await lane.cancel(entry)
        return (await self.get(id)).state == "cancelled"

    def look(self, device: str) -> None:
        """Something is new of a device."""
        lane = self._lanes.get(device)
        if lane is not None:
            lane.look()

    def look_all(self) -> None:
        """Our own link went down or came up."""
        for lane in self._lanes.values():
            lane.look()

    async def _put(self, command: QueuedCommand, *, may_be_known: bool) -> Entry:
        async with self._putting:
            if may_be_known:
                known = await self._between(lambda: self._rows.get(command.id))
                if known is not None:
                    return self._known(known, command)
            await self._between(lambda: self._rows.add(command))
            expiry = Expiry(command.expires, not_before=command.created)
            entry = Entry(id=command.id, device=command.device, expiry=expiry, command=command)
            crashpoints.at("queue.committed")
            if self._closed:
                entry.abandon()
                return entry
            self._take(entry, waits=True)
            self._count()
            return entry

    def _known(self, known: QueuedCommand, again: QueuedCommand) -> Entry:
        same = (known.device, known.name, known.arguments, known.by)
        if same != (again.device, again.name, again.arguments, again.by):
            raise CommandConflictError(
                f"command {again.name} of {again.device} was not queued: the id {again.id} stands for another"
            )
        entry = self._entries.get(known.id)
        if entry is None:
            entry = Entry(id=known.id, device=known.device, expiry=Expiry(known.expires))
            entry.settle(known)
        return entry

    def _take(self, entry: Entry, *, waits: bool) -> None:
        self._entries[entry.id] = entry
        if waits:
            self._expiries.put(entry.id, entry.expiry)
            self._sooner.set()
        lane = self._lanes.get(entry.device)
        if lane is None:
            peer = Peer(
                link=self._link,
                find=lambda: self._find(entry.device),
                load=lambda id_: self._between(lambda: self._rows.get(id_)),
                sending=lambda id_: self._between(lambda: self._rows.sending(id_, time.time())),
                end=self._end,
                keep=lambda id_: self._between(lambda: self._rows.cancelling(id_, wanted=False)),
            )
            lane = self._lanes[entry.device] = Lane(entry.device, peer, self._lane_is_empty)
        lane.put(entry)

    def _lane_is_empty(self, device: str) -> None:
        self._lanes.pop(device, None)

    async def _end(
        self, command: QueuedCommand, *, only: tuple[CommandState, ...] = ("queued", "sent")
    ) -> bool:
        """Ends a command in the store, and tells who waits; whether it was this that ended it."""
        command = replace(command, updated=time.time())
        changed: bool = await self._between(lambda: self._rows.end(command, only=only))
        if changed:
            entry = self._entries.pop(command.id, None)
            if entry is not None:
                entry.settle(command)
                self.look(command.device)
            self._counts.command_ended(command.state)
            self._count()
            log.info("command %s of %s (%s): %s", command.name, command.device, command.id, command.state)
        return changed

    def _count(self) -> None:
        self._counts.commands_queued(len(self._entries))

    async def _expire(self) -> None:
        """Ends what was not sent in time, also behind another command that waits."""
        while True:
            try:
                while (due := self._expiries.due()) is not None:
                    await self._expired(due)
                    self._expiries.take(due)
            except StoreError as error:
                log.warning("a command expired, and the store does not take that: %s", error)
                await asyncio.sleep(1.0)
                continue
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._expiries.nap()):
                    await self._sooner.wait()

    async def _expired(self, id_: str) -> None:
        if id_ not in self._entries:
            return
        command = await self._between(lambda: self._rows.get(id_))
        if command is not None and command.state == "queued":
            await self._end(replace(command, state="expired", text=NEVER_SENT), only=("queued",))

    async def _tidy(self) -> None:
        while True:
            try:
                gone = await self._between(lambda: self._rows.tidy(time.time() - KEEP))
            except StoreError as error:
                log.warning("old commands are not removed now: %s", error)
                gone = 0
            await asyncio.sleep(TIDY_PAUSE if gone else TIDY_EVERY)
