"""What is written down of calls, and what is said to be out of order."""

import asyncio
import contextlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, Protocol

from iotxmpp.errors import StoreError
from iotxmpp.serving.auditentry import Audit, AuditEntry, AuditResult
from iotxmpp.serving.command import Caller, Door, Given
from iotxmpp.serving.refusals import (
    MOST_OTHERS,
    MOST_STRANGERS,
    OF_OTHERS,
    OF_STRANGERS,
    WITHIN,
    Refusals,
    account_of,
)
from iotxmpp.serving.shares import Shares

SOON = 0.001
"""Seconds after which it is written down how a command ended: its answer does not wait for that."""

READ_AGAIN: Final = 3600.0
"""Seconds after which one more line is written of an account that goes on reading the same."""

_REFUSED: Final = frozenset({"refused", "rejected", "expired"})
_MOST_READ: Final = 1000
_LOGGER = logging.getLogger(__name__)


def nobody(_jid: str) -> str:
    """By what an account has a role where nobody has one."""
    return ""


class Problems(Protocol):
    """Where it is said what does not work."""

    def report(self, key: str, text: str) -> None:
        """Something does not work."""

    def clear(self, key: str) -> None:
        """It works again."""


class Records:
    """Writes lines into the audit, and tells problems.

    All lines pass here, and so do their limits: refusals are written some a minute of each account, reads
    once an hour, and who used up its share of the log starts nothing more (`docs/access.md`).
    """

    def __init__(
        self,
        *,
        device: str,
        audit: Audit | None,
        problems: Problems | None,
        known: Callable[[str], str] = nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes one.

        Args:
            device: Whose commands they are.
            audit: Where to write; None to write nothing.
            problems: Where to say what does not work; None for the log alone.
            known: By what a JID has a role here: its bare JID, or its domain; empty for no role. It must
                not change.
            clock: Gives seconds that nobody sets.
        """
        self._device = device
        self._audit = audit
        self._problems = problems
        self._clock = clock
        self._known = known
        self._whose = lru_cache(maxsize=256)(self._asked_whose)  # the same few call all the time
        self._shares = Shares(clock=clock)
        self._strangers = Refusals(
            self._passed_over, noted=OF_STRANGERS, accounts=MOST_STRANGERS, clock=clock
        )
        self._others = Refusals(self._passed_over, noted=OF_OTHERS, accounts=MOST_OTHERS, clock=clock)
        self._only_read: frozenset[str] = frozenset()
        self._read: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._waiting: list[Callable[[], None]] = []

    def close(self) -> None:
        """Writes down what was counted and not written yet; the audit must still be open."""
        self.catch_up()
        self._strangers.close()
        self._others.close()

    def only_read(self, commands: Iterable[str]) -> None:
        """Says which commands change nothing: they get a line an hour of each caller, and no `started`."""
        self._only_read = frozenset(commands)

    def write(  # noqa: PLR0913  # what a line says
        self,
        caller: Caller,
        *,
        command: str,
        id: str = "",  # noqa: A002  # the wire's word
        result: AuditResult,
        text: str = "",
        given: Given = None,
    ) -> None:
        """Writes down what is about to happen.

        Raises:
            StoreError: It cannot be written, or the caller used up its share of the log; then it must not
                happen.
        """
        if self._audit is None:
            return
        self.catch_up()
        account, group = self._whose(caller.jid, caller.by)
        if not self._is_due(caller, account, group, command, result):
            caller.noted.done = True
            if result == "started":
                caller.noted.given = given
            return
        given = given or caller.noted.given
        arguments = given if isinstance(given, str) else json.dumps(dict(given), default=str) if given else ""
        entry = AuditEntry(
            time=time.time(),
            who=caller.jid,
            by=caller.by,
            device=self._device,
            command=command,
            id=id,
            door=caller.door,
            arguments=arguments,
            result=result,
            text=text,
        )
        try:
            size = self._audit.append(entry)
        except StoreError as error:
            self.report("audit", error)
            raise
        caller.noted.done = True
        self._shares.charge(account, group, size)
        self.clear("audit")

    def _is_due(self, caller: Caller, account: str, group: str, command: str, result: AuditResult) -> bool:
        """Whether a line is written; else it is counted, or stands there already.

        Raises:
            StoreError: It would be that of a command that starts, and the caller used up its share.
        """
        reads = command in self._only_read
        if reads and result in {"started", "done"}:
            return result == "done" and self._is_first_read(account, group, command)
        if result == "started":
            if not self._shares.has_room(account, group):
                raise StoreError(
                    f"{account} filled its share of the audit log, and would push out the lines of others;"
                    " nothing more is started for it now: call less often, and try again in a few minutes"
                )
        elif (reads and result == "failed") or (result in _REFUSED and (reads or not caller.noted.done)):
            return self._is_refusal_due(caller, account, group)
        return True

    def _is_refusal_due(self, caller: Caller, account: str, group: str) -> bool:
        limit = self._others if group else self._strangers
        due = limit.noted(account, room=self._shares.has_room(account, group))
        if due and not group:
            _LOGGER.warning("%s was refused", caller.jid)
        return due

    def _is_first_read(self, account: str, group: str, command: str) -> bool:
        key, now = (account, command), self._clock()
        if now - self._read.get(key, float("-inf")) < READ_AGAIN or not self._shares.has_room(account, group):
            return False
        self._read[key] = now
        self._read.move_to_end(key)
        if len(self._read) > _MOST_READ:
            self._read.popitem(last=False)
        return True

    def _asked_whose(self, jid: str, by: str) -> tuple[str, str]:
        """Whose share a line takes, and the group that it has it in, as `Shares` knows them."""
        own, known = account_of(jid), self._known(jid)
        if known and by and by != own:  # whom a controller names it vouches for
            return by, by
        return own, known

    def note(  # noqa: PLR0913  # as above
        self,
        caller: Caller,
        *,
        command: str,
        id: str = "",  # noqa: A002  # as above
        result: AuditResult,
        text: str = "",
        given: Given = None,
    ) -> None:
        """Writes down what happened already; where that fails it is a problem, and nothing new starts."""
        with contextlib.suppress(StoreError):
            self.write(caller, command=command, id=id, result=result, text=text, given=given)

    def soon(self, note: Callable[[], None]) -> None:
        """Makes a note in a moment, and before any other."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(SOON, self.catch_up)
        self._waiting.append(note)

    def catch_up(self) -> None:
        """Makes the notes that wait."""
        waiting, self._waiting = self._waiting, []
        for note in waiting:
            note()

    def refuse(
        self,
        sender: str,
        *,
        door: Door,
        id: str = "",  # noqa: A002  # as above
        text: str,
    ) -> None:
        """Writes down that somebody was refused who has no role here."""
        caller = Caller(jid=sender, by=account_of(sender), role="", door=door)
        self.note(caller, command="", id=id, result="refused", text=text)

    def _passed_over(self, account: str, count: int) -> bool:
        """Writes down how many refusals have no line of their own; not where one account has no room left."""
        caller = Caller(jid=account, by="", role="", door="")
        if account and not self._shares.has_room(*self._whose(account, "")):
            return False
        who = "this account" if account else "other accounts"
        caller.noted.done = True  # it is no refusal itself
        text = f"{count:,} more refusals of {who} within {WITHIN:.0f} s"
        self.note(caller, command="", result="refused", text=text)
        return True

    def report(self, key: str, error: StoreError) -> None:
        """Something does not work."""
        if self._problems is None:
            _LOGGER.warning("commands: %s", error)
        else:
            self._problems.report(key, f"commands: {error}")

    def clear(self, key: str) -> None:
        """It works."""
        if self._problems is not None:
            self._problems.clear(key)
