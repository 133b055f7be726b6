"""Calls of idempotent commands that ended, in memory: no journal knows them."""

from collections import OrderedDict
from typing import Final

from iotxmpp.commands import Outcome
from iotxmpp.serving.call import Call, mark_of
from iotxmpp.serving.journal import CONFLICT
from iotxmpp.serving.outcomes import CANCELLED, NO_CALL, TOO_LATE

MOST: Final = 1000
"""Calls that are remembered; of more, those that ended first are forgotten."""


class Ended:
    """The calls that ended last: what their ids stand for, and which of them never run."""

    def __init__(self) -> None:
        """Makes it, empty."""
        self._calls: OrderedDict[tuple[str, str], tuple[str, bool]] = OrderedDict()

    def note(self, call: Call, *, cancelled: bool = False) -> None:
        """A call ran, or will never run."""
        key = (call.caller.bare, call.id)
        self._calls[key] = (mark_of(call.name, call.given), cancelled)
        self._calls.move_to_end(key)
        while len(self._calls) > MOST:
            self._calls.popitem(last=False)

    def refusal(self, call: Call) -> Outcome | None:
        """How a call is answered that must not run; None where it may, perhaps once more."""
        found = self._calls.get((call.caller.bare, call.id))
        if found is None:
            return None
        mark, cancelled = found
        if mark != mark_of(call.name, call.given):
            return CONFLICT
        return CANCELLED if cancelled else None

    def cancel(self, caller: str, call_id: str) -> Outcome:
        """The answer to who cancels a call that does not wait."""
        found = self._calls.get((caller, call_id))
        if found is None:
            return NO_CALL
        return CANCELLED if found[1] else TOO_LATE
