"""What is remembered of calls, so that none that acts runs twice: the rules, and a journal in memory."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from iotxmpp.commands import Outcome

KEEP: Final = 7 * 86400.0
"""Seconds for which an ended call is remembered at least."""

KEEP_EXPIRED: Final = 86400.0
"""Seconds for which a call is remembered after its expiry at least."""

MOST_CALLS: Final = 100_000
"""Calls that are remembered; of more, those make room whose expiry is long past, or the call is refused."""

MOST_IN_MEMORY: Final = 10_000
"""Likewise in memory."""

MOST_OF_ONE: Final = 0.75
"""The part of them that calls of one caller may be."""

UNKNOWN: Final = Outcome(
    kind="unknown", text="it was started before; what became of it is not known, and it is not started again"
)
"""How a call ended that was begun and never finished."""

CONFLICT: Final = Outcome(
    kind="rejected",
    condition="conflict",
    text="the id was used for another call before; give each call an id of its own",
)
"""The refusal of an id that stands for another command or other arguments."""

FULL: Final = Outcome(
    kind="rejected",
    condition="resource-constraint",
    text="not started: this command must not run twice, and the journal of calls is full; try again later",
)
"""The refusal of a call for which the journal has no room."""

Now = Callable[[], float | None]
"""Gives seconds since 1970; None while the clock is not kept right, and nothing is forgotten for its age."""


class Journal(Protocol):
    """Remembers calls by the caller's bare JID and the call's id.

    Each method raises `StoreError` where the journal cannot be read or written. Then nothing may run that
    must not run twice.
    """

    async def open(self) -> None:
        """Makes it ready; calls that an earlier process began and never finished are `unknown` now."""
        ...

    async def close(self) -> None:
        """Ends it."""
        ...

    async def cut_off(self) -> list[tuple[str, str, str]]:
        """Caller, id and command of each call that an earlier process began and never finished; once."""
        ...

    async def find(self, caller: str, id: str, fingerprint: str) -> Outcome | None:  # noqa: A002  # the wire's word
        """How that call ended; None where it is not known. An empty fingerprint fits every call."""
        ...

    async def begin(
        self,
        caller: str,
        id: str,  # noqa: A002  # the wire's word
        name: str,
        fingerprint: str,
        expires: float | None,
    ) -> Outcome | None:
        """Notes, before it acts, that a call begins; that is on disk when this returns.

        Args:
            caller: The caller's bare JID.
            id: The call's id.
            name: The command's name.
            fingerprint: Of the name and the arguments.
            expires: The call's expiry, in seconds since 1970 (UTC); None for none.

        Returns:
            None where the call may run now. Else how it ended: it must not run. One that was begun and never
            finished is `unknown`; an id that stands for other arguments is `rejected` (`CONFLICT`), and a
            new one for which there is no room (`FULL`).
        """
        ...

    async def finish(self, caller: str, id: str, outcome: Outcome) -> None:  # noqa: A002  # likewise
        """Notes how a begun call ended; that survives the end of the process.

        A power cut may take it along; then the call is `unknown`.
        """
        ...

    async def forget(self, caller: str, id: str) -> None:  # noqa: A002  # likewise
        """Takes back a `begin` after which nothing acted: as if the call had never come."""
        ...

    async def cancel(self, caller: str, id: str, name: str) -> Outcome:  # noqa: A002  # likewise
        """Notes that a call must never run, whether it came already or not.

        Returns:
            `cancelled`; or how the call ended, if it began before. `CONFLICT` where the id is that of another
            command's call, `FULL` where there is no room to note it.
        """
        ...


class MemoryJournal:
    """A journal in memory: gone with its process."""

    def __init__(self, *, now: Now = time.time, most: int = MOST_IN_MEMORY) -> None:
        """Makes one.

        Args:
            now: The clock.
            most: Calls that are remembered.
        """
        # An agent whose commands are all idempotent, or that has none, never loads the tables.
        from iotxmpp.serving.calltable import CallTable, open_memory  # noqa: PLC0415  # see above

        self._table = CallTable(open_memory(), now=now, most=most)

    async def open(self) -> None:
        """Nothing: it is ready."""

    async def cut_off(self) -> list[tuple[str, str, str]]:
        """None: a journal in memory knows of no earlier process."""
        return []

    async def close(self) -> None:
        """Forgets everything."""
        self._table.close()

    async def find(self, caller: str, id: str, fingerprint: str) -> Outcome | None:  # noqa: A002  # as above
        """As `Journal.find`."""
        return self._table.find(caller, id, fingerprint)

    async def begin(
        self,
        caller: str,
        id: str,  # noqa: A002  # as above
        name: str,
        fingerprint: str,
        expires: float | None,
    ) -> Outcome | None:
        """As `Journal.begin`."""
        return self._table.begin(caller, id, name, fingerprint, expires)

    async def finish(self, caller: str, id: str, outcome: Outcome) -> None:  # noqa: A002  # as above
        """As `Journal.finish`."""
        self._table.finish(caller, id, outcome)

    async def forget(self, caller: str, id: str) -> None:  # noqa: A002  # as above
        """As `Journal.forget`."""
        self._table.forget(caller, id)

    async def cancel(self, caller: str, id: str, name: str) -> Outcome:  # noqa: A002  # as above
        """As `Journal.cancel`."""
        return self._table.cancel(caller, id, name)
