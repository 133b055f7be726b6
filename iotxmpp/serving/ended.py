"""Calls that were started or cancelled of late, in memory: what no journal, or not this one's, knows."""

from collections import OrderedDict
from typing import Final, Literal

from iotxmpp.commands import Outcome
from iotxmpp.serving.call import Call, mark_of
from iotxmpp.serving.journal import CONFLICT
from iotxmpp.serving.outcomes import BARRED, CANCELLED, NO_CALL, TOO_LATE

MOST: Final = 1000
"""Calls that are remembered; of more, those that ended first are forgotten."""

_Fate = Literal["started", "cancelled", "barred"]


class Ended:
    """The calls of late: what their ids stand for, and which of them must not run.

    Calls that the journal knows are here too, as far as their ids stand for a command: so that none is taken
    for that of an idempotent one.
    """

    def __init__(self) -> None:
        """Makes it, empty."""
        self._calls: OrderedDict[tuple[str, str], tuple[str, str, _Fate]] = OrderedDict()

    def note(self, call: Call, *, cancelled: bool = False) -> None:
        """A call was started, or never will be."""
        mark = call.mark or mark_of(call.name, call.given)
        self._note((call.caller.bare, call.id), call.name, mark, "cancelled" if cancelled else "started")

    def refusal(self, call: Call) -> Outcome | None:
        """How a call is answered that must not run; None where it may, perhaps once more."""
        found = self._calls.get((call.caller.bare, call.id))
        if found is None:
            return None
        name, mark, fate = found
        if name != call.name:
            return CONFLICT
        if call.journaled:  # the journal knows it better
            return None
        if fate == "barred":
            return BARRED
        if mark != mark_of(call.name, call.given):
            return CONFLICT
        return CANCELLED if fate == "cancelled" else None

    def cancel(self, caller: str, call_id: str, name: str) -> Outcome:
        """The answer to who cancels an idempotent call that does not wait; it does not run later, either."""
        found = self._calls.get((caller, call_id))
        if found is None:
            self._note((caller, call_id), name, "", "barred")
            return NO_CALL
        known, _, fate = found
        if known != name:
            return CONFLICT
        return {"started": TOO_LATE, "cancelled": CANCELLED, "barred": NO_CALL}[fate]

    def stands_for_another(self, caller: str, call_id: str, name: str) -> bool:
        """Whether an id is that of another command's call."""
        found = self._calls.get((caller, call_id))
        return found is not None and found[0] != name

    def _note(self, key: tuple[str, str], name: str, mark: str, fate: _Fate) -> None:
        self._calls[key] = (name, mark, fate)
        self._calls.move_to_end(key)
        while len(self._calls) > MOST:
            self._calls.popitem(last=False)
