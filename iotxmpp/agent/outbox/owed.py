"""What a disk that fails is to be told later."""

from collections.abc import Iterable

from iotxmpp.agent.outbox.protocol import Span
from iotxmpp.agent.outbox.rows import epoch_of


class Owed:
    """What is to be done on disk as soon as that works.

    Attributes:
        held: Readings on disk that are done with.
        revived: Places of dead letters that were taken in anew.
        buried: The first and the last place of dead letters, and their reason.
    """

    def __init__(self) -> None:
        self.held = 0
        self.revived: list[int] = []
        self.buried: list[tuple[int, int, str]] = []
        self._trimmed: dict[int, Span] = {}

    def take(self, *, trims: Iterable[Span], revived: Iterable[int]) -> None:
        """Remembers these."""
        self.revived += revived
        for first, last in trims:
            before = self._trimmed.get(epoch_of(first), (first, last))
            self._trimmed[epoch_of(first)] = min(first, before[0]), max(last, before[1])

    def spans(self) -> list[Span]:
        """What is done with, one run an epoch: acks are cumulative."""
        return list(self._trimmed.values())
