"""The commands of a running agent: its doors, its journal, its audit, and people who write to it."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from iotxmpp.agent.clock import Clock
from iotxmpp.agent.plan import Plan
from iotxmpp.agent.presence import Problems
from iotxmpp.commands import COMMAND_TAG
from iotxmpp.errors import IotxmppError, StoreError
from iotxmpp.link import Cancel, Entry, Link, LinkState, Message, Request
from iotxmpp.readings import Value
from iotxmpp.serving.auditentry import Audit, AuditEntry, MemoryAudit, audit_path
from iotxmpp.serving.deadline import Clocks, Now
from iotxmpp.serving.offloop import call
from iotxmpp.serving.records import Records
from iotxmpp.serving.stalls import Stalls
from iotxmpp.status import DeviceStatus

if TYPE_CHECKING:
    from iotxmpp.serving.audit import AuditLog
    from iotxmpp.serving.chat import ChatDoor
    from iotxmpp.serving.execution import Executor
    from iotxmpp.serving.journal import Journal
    from iotxmpp.serving.server import CommandServer

MOST_CHATS = 16
"""Messages that are answered side by side; who writes more is told to try again."""

_LOGGER = logging.getLogger(__name__)

Latest = dict[str, tuple[Value, str | None]]
"""The newest value of each channel, with its unit."""


class Commanding:
    """The commands of one run of an agent; one without commands has no memory for them until it is called.

    Attributes:
        records: Where it is written down who did what.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        link: Link,
        plan: Plan,
        *,
        problems: Problems,
        clock: Clock,
        latest: Latest,
        status: Callable[[], DeviceStatus],
    ) -> None:
        """Makes it.

        Args:
            link: Where callers are.
            plan: What was declared.
            problems: Where to say what does not work.
            clock: The device's clocks.
            latest: The newest value of each channel, for people.
            status: Tells how the device is.
        """
        self._link = link
        self._plan = plan
        self._problems = problems
        self._latest = latest
        self._status = status
        outbox = plan.outbox.file(plan.account.jid, plan.device)
        self._audit: Audit = MemoryAudit(most=100) if outbox is None else FileAudit(audit_path(outbox))
        self._stalls = Stalls(clock.uptime)
        self._clock = clock
        self.records = Records(device=plan.device, audit=self._audit, problems=problems, known=self._knows)
        self._chats: set[asyncio.Task[None]] = set()
        self._cut_off: list[tuple[str, str]] = []
        self._closed = False

    async def open(self) -> None:
        """Opens the journal and the audit; what fails is a problem, and each call tries again."""
        self._stalls.start()
        if not self._plan.commands:  # and so no journal
            return
        from iotxmpp.serving.call import CHAT_ID  # noqa: PLC0415  # memory that only commands take

        await self._executor.open()
        for caller, id_, name in await self._executor.cut_off():
            if id_.startswith(CHAT_ID) and self._plan.access.observes(caller, self._plan.device):
                self._cut_off.append((caller, name))
        if isinstance(self._audit, FileAudit):
            try:
                await call(self._audit.open)
            except StoreError as error:
                self._problems.report("audit", f"commands: {error}")

    def register(self) -> list[Cancel]:
        """Opens the doors."""
        if self._link.state.up:
            self._tell_soon()
        return [
            self._link.serve(COMMAND_TAG, self._server.answer if self._plan.commands else self._refuse),
            self._link.list_commands(self._entries),
            self._link.on_message(self._take_message),
            self._link.on_state(self._link_changed),
        ]

    async def close(self) -> None:
        """Refuses what waits, and lets what runs end if that goes quickly; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._stalls.stop()
        if "_executor" in self.__dict__:
            await self._executor.close()
        else:
            self.records.close()
        chats = list(self._chats)
        for chat in chats:
            chat.cancel()
        await asyncio.gather(*chats, return_exceptions=True)
        await call(self._audit.close)

    async def _refuse(self, request: Request) -> Element:
        """Answers a call where there is nothing to call."""
        return await self._server.answer(request)

    def _entries(self, sender: str) -> list[Entry]:
        return self._server.entries(sender) if self._plan.commands else []

    def _link_changed(self, state: LinkState) -> None:
        if state.up:
            self._tell_soon()

    def _tell_soon(self) -> None:
        if self._cut_off:
            telling = asyncio.create_task(self._tell_cut_off(), name="what a restart cut off")
            self._chats.add(telling)
            telling.add_done_callback(self._chats.discard)

    async def _tell_cut_off(self) -> None:
        """Tells people of what they wrote before a restart, and of which nobody knows the end; once."""
        told, self._cut_off = self._cut_off, []
        for caller, name in told:
            text = (
                f"{name}: I restarted while I did this, so what became of it is not known. Look before you"
                " ask again."
            )
            await self._reply(Message(kind="chat", sender=caller), text)

    async def _take_message(self, message: Message) -> None:
        if message.kind == "headline" or not message.text.strip() or self._closed:
            return
        if not self._chat.hears(message):  # before it takes a place from somebody who may
            return
        if len(self._chats) >= MOST_CHATS:
            _LOGGER.warning("%s wrote while too many messages are being answered", message.sender)
            await self._reply(message, self._chat.busy(message))
            return
        chat = asyncio.create_task(self._answer(message), name="chat")
        self._chats.add(chat)
        chat.add_done_callback(self._chats.discard)
        await asyncio.sleep(0)  # it is counted before the next one

    async def _answer(self, message: Message) -> None:
        try:
            reply = await self._chat.take(message)
        except Exception:
            _LOGGER.exception("answering %s failed", message.sender)
        else:
            await self._reply(message, reply)

    async def _reply(self, message: Message, text: str | None) -> None:
        if text is None:
            return
        from iotxmpp.serving.alarms import automatic_message  # noqa: PLC0415  # as the door's memory

        try:
            await self._link.send(message.sender, automatic_message(text, message.kind))
        except IotxmppError as error:
            _LOGGER.warning("%s got no answer: %s", message.sender, error)

    def _knows(self, jid: str) -> str:
        """By what an account has a role here; the collector has one by itself."""
        plan, account = self._plan, jid.partition("/")[0]
        return (
            account if account == plan.collector else plan.access.account_or_domain(jid, device=plan.device)
        )

    @functools.cached_property
    def _executor(self) -> "Executor":
        from iotxmpp.serving.execution import Executor  # noqa: PLC0415  # as in `open`

        return Executor(
            _journal(self._plan, self._clock),
            device=self._plan.device,
            records=self.records,
            send=self._link.send,
            clocks=Clocks(wall=lambda: _now(self._clock), steady=self._clock.uptime),
            away=self._stalls.away,
        )

    @functools.cached_property
    def _server(self) -> "CommandServer":
        from iotxmpp.serving.server import CommandServer  # noqa: PLC0415  # as in `open`

        return CommandServer(self._plan.commands, self._plan.access, self._executor, device=self._plan.device)

    @functools.cached_property
    def _chat(self) -> "ChatDoor":
        # Memory that a device takes only where somebody writes to it.
        from iotxmpp.agent.chatstatus import status_text  # noqa: PLC0415  # see above
        from iotxmpp.serving.chat import ChatDoor  # noqa: PLC0415  # see above

        return ChatDoor(
            self._plan.commands,
            self._plan.access,
            self._executor,
            device=self._plan.device,
            status=lambda: status_text(self._status(), self._plan.device, self._latest),
            records=self.records,
            away=self._stalls.away,
            own=self._plan.account.jid,
        )


class FileAudit:
    """An audit log that is opened when it is first needed, and tried again while that fails."""

    def __init__(self, path: Path) -> None:
        """Makes one; nothing is opened yet."""
        self._path = path
        self._log: AuditLog | None = None
        self._closed = False

    def open(self) -> None:
        """Opens it.

        Raises:
            StoreError: It cannot be opened.
        """
        if self._closed:
            raise StoreError(f"audit log {self._path}: it is closed")
        if self._log is None:
            from iotxmpp.serving.audit import AuditLog  # noqa: PLC0415  # memory of who was called

            self._log = AuditLog(self._path, now=time.time)

    def append(self, entry: AuditEntry) -> int:
        """As `Audit.append`."""
        self.open()
        return self._log.append(entry) if self._log is not None else 0

    def close(self) -> None:
        """As `Audit.close`."""
        self._closed = True
        if self._log is not None:
            self._log.close()


def _now(clock: Clock) -> Now:
    moment = clock.now()
    return Now(time=moment.time, trusted=moment.quality == "s")


def _journal(plan: Plan, clock: Clock) -> "Journal | None":
    """What remembers calls; none where no command needs it."""
    if all(command.spec.idempotent for command in plan.commands.values()):
        return None
    outbox = plan.outbox.file(plan.account.jid, plan.device)
    if outbox is None:
        from iotxmpp.serving.journal import MemoryJournal  # noqa: PLC0415  # only where there is one

        return MemoryJournal(now=functools.partial(_kept_right, clock))
    from iotxmpp.serving.filejournal import SqliteJournal  # noqa: PLC0415  # only where there is one

    return SqliteJournal(
        outbox.with_name(f"{outbox.stem}.commands.db"), now=functools.partial(_kept_right, clock)
    )


def _kept_right(clock: Clock) -> float | None:
    """The time; None unless it can be trusted: by a clock that is days ahead, ids would be forgotten."""
    moment = clock.now()
    return moment.time if moment.quality == "s" else None
