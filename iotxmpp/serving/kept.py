"""The journal as whoever carries out calls uses it: where it fails, that is told, and nothing is started."""

import logging
from collections.abc import Awaitable

from iotxmpp.commands import Outcome
from iotxmpp.errors import StoreError
from iotxmpp.serving.call import Call
from iotxmpp.serving.journal import Journal
from iotxmpp.serving.records import Records

_LOGGER = logging.getLogger(__name__)


class Kept:
    """A journal, and where to say that it fails."""

    def __init__(self, journal: Journal | None, records: Records) -> None:
        """Takes a journal; None where there is none, and each use of it fails."""
        self._journal = journal
        self._records = records

    async def open(self) -> None:
        """Opens it; where that fails, the problem is told, and each call tries again."""
        if self._journal is not None:
            await self.noted(self._journal.open())

    async def close(self) -> None:
        """Closes it."""
        if self._journal is not None:
            try:
                await self._journal.close()
            except StoreError as error:
                _LOGGER.warning("%s", error)

    @property
    def journal(self) -> Journal:
        """The journal.

        Raises:
            StoreError: There is none.
        """
        if self._journal is None:
            raise StoreError("there is no journal")
        return self._journal

    async def find(self, caller: str, call_id: str, mark: str) -> Outcome | None:
        """As `Journal.find`; None where there is no journal.

        Raises:
            StoreError: It cannot be read.
        """
        return None if self._journal is None else await self._journal.find(caller, call_id, mark)

    async def cut_off(self) -> list[tuple[str, str, str]]:
        """As `Journal.cut_off`; nothing where it cannot be read."""
        try:
            return [] if self._journal is None else await self._journal.cut_off()
        except StoreError:  # its opening told that
            return []

    async def noted(self, noting: Awaitable[None]) -> None:
        """Where the journal cannot note what became of a begun call, it stays begun: it will be unknown."""
        try:
            await noting
        except StoreError as error:
            self._records.report("journal", error)

    def refusal(self, error: StoreError) -> Outcome:
        """The refusal of a call that must not run twice, while nobody could tell whether it did."""
        self._records.report("journal", error)
        text = f"not started: this command must not run twice, and its journal cannot be kept: {error}"
        return Outcome(kind="rejected", condition="resource-constraint", text=text)

    def answered(self, call: Call, known: Outcome) -> Outcome:
        """The journal's answer; it is written down where it is a refusal, and not how the call ended once."""
        if known.kind == "rejected":
            given, text = call.given, known.text
            self._records.note(
                call.caller, command=call.name, id=call.id, result="rejected", text=text, given=given
            )
        return known
