"""What is written down of calls, and what is said to be out of order."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Protocol

from iotxmpp.errors import StoreError
from iotxmpp.serving.audit import Audit, AuditEntry, AuditResult
from iotxmpp.serving.call import Given
from iotxmpp.serving.command import Caller, Door
from iotxmpp.serving.strangers import WITHIN, Strangers, account_of

SOON = 0.001
"""Seconds after which it is written down how a command ended: its answer does not wait for that."""

_LOGGER = logging.getLogger(__name__)


class Problems(Protocol):
    """Where it is said what does not work."""

    def report(self, key: str, text: str) -> None:
        """Something does not work."""

    def clear(self, key: str) -> None:
        """It works again."""


class Records:
    """Writes lines into the audit, and tells problems."""

    def __init__(
        self,
        *,
        device: str,
        audit: Audit | None,
        problems: Problems | None,
        known: Callable[[str], bool] = lambda _jid: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes one.

        Args:
            device: Whose commands they are.
            audit: Where to write; None to write nothing.
            problems: Where to say what does not work; None for the log alone.
            known: Whether a JID has a role here; of others, `refuse` writes down a few refusals a minute.
            clock: Gives seconds that nobody sets.
        """
        self._device = device
        self._audit = audit
        self._problems = problems
        self._strangers = Strangers(self._passed_over, known=known, clock=clock)
        self._waiting: list[Callable[[], None]] = []

    def close(self) -> None:
        """Writes down what was counted and not written yet; the audit must still be open."""
        self.catch_up()
        self._strangers.close()

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
            StoreError: It cannot be written; then it must not happen.
        """
        if self._audit is None:
            return
        self.catch_up()
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
            self._audit.append(entry)
        except StoreError as error:
            self.report("audit", error)
            raise
        self.clear("audit")

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
        """Writes down that somebody was refused who has no role here, unless they fill the audit with it."""
        if self._strangers.noted(sender):
            _LOGGER.warning("%s was refused: %s", sender, text)
            caller = Caller(jid=sender, by=account_of(sender), role="", door=door)
            self.note(caller, command="", id=id, result="refused", text=text)

    def _passed_over(self, account: str, count: int) -> None:
        who = "this account" if account else "other accounts"
        text = f"{count} more refusals of {who} within {WITHIN:.0f} s"
        self.note(Caller(jid=account, by="", role="", door=""), command="", result="refused", text=text)

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
