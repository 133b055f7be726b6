"""The calls of one session: one runs, the others wait, and each ends exactly once. No I/O."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from firmware_bridge.events import Answered, Outcome
from iotxmpp.errors import CommandError
from iotxmpp.readings import Value

MOST_WAITING = 32
"""Calls that may wait for their turn."""


Encoded = tuple[object, int, bytes]
"""For whom a call was encoded, the command's index there, and its arguments."""


@dataclass(kw_only=True, slots=True)
class Pending:
    """A call that has not ended: its token, what it asks, and when it ends at the latest.

    Attributes:
        encoded: What its check made of it, for whoever sends it.
    """

    token: int
    name: str
    arguments: Mapping[str, Value]
    limit: float
    encoded: Encoded | None = None


class Calls:
    """Those that wait, and the one that was sent."""

    def __init__(self) -> None:
        self._waiting: deque[Pending] = deque()
        self._last = 0
        self.sent: Pending | None = None

    def add(
        self, name: str, arguments: Mapping[str, Value], limit: float, encoded: Encoded | None = None
    ) -> int:
        """Lets a call wait, and returns its token.

        Raises:
            CommandError: Too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise CommandError(
                f"command {name}: {MOST_WAITING} calls wait for the board already; call again later"
            )
        self._last += 1
        self._waiting.append(
            Pending(token=self._last, name=name, arguments=dict(arguments), limit=limit, encoded=encoded)
        )
        return self._last

    def next(self) -> Pending | None:
        """Takes the call whose turn it is, if one waits and none is out."""
        if self.sent is not None or not self._waiting:
            return None
        self.sent = self._waiting.popleft()
        return self.sent

    def end(
        self,
        outcome: Outcome,
        text: str = "",
        *,
        value: Value | None = None,
        values: Mapping[str, Value] | None = None,
    ) -> list[Answered]:
        """Ends the call that was sent, if there is one."""
        call, self.sent = self.sent, None
        if call is None:
            return []
        return [Answered(token=call.token, outcome=outcome, text=text, value=value, values=values)]

    def end_waiting(self, why: str) -> list[Answered]:
        """Ends those that wait: none of them has run."""
        ended = [Answered(token=each.token, outcome=Outcome.NOT_RUN, text=why) for each in self._waiting]
        self._waiting.clear()
        return ended

    def end_all(self, why: str) -> list[Answered]:
        """Ends every call; of the one that was sent, it is not known whether it ran."""
        return [*self.end(Outcome.UNKNOWN, why), *self.end_waiting(why)]

    def expire(self, now: float) -> list[Answered]:
        """Ends those whose time is over."""
        ended = []
        if self.sent is not None and now >= self.sent.limit:
            ended += self.end(Outcome.UNKNOWN, "the board gave no result in time; it may have run")
        late = [each for each in self._waiting if now >= each.limit]
        if late:
            self._waiting = deque(each for each in self._waiting if now < each.limit)
            why = "the board was not ready for it in time"
            ended += [Answered(token=each.token, outcome=Outcome.NOT_RUN, text=why) for each in late]
        return ended

    def next_limit(self) -> float | None:
        """When the first of them ends at the latest."""
        if not self._waiting:
            return None if self.sent is None else self.sent.limit
        limits = [each.limit for each in self._waiting]
        if self.sent is not None:
            limits.append(self.sent.limit)
        return min(limits, default=None)
