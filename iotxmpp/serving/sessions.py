"""What a person's client has begun and not ended: sessions of XEP-0050, few and short."""

import time
from asyncio import Task
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from iotxmpp.commands import Outcome
from iotxmpp.errors import stanza_error

MOST: Final = 200
"""Open sessions in all; of more, the one that was left longest is forgotten."""

MOST_EACH: Final = 20
"""Open sessions of one account; likewise."""

MOST_OVER: Final = 50
"""Sessions whose command ended: a form that is submitted once more is answered from them."""

LASTING: Final = 600.0
"""Seconds after which a session that was left is forgotten."""


@dataclass(kw_only=True, slots=True, eq=False)
class Session:
    """One session.

    Attributes:
        owner: The full JID that began it.
        id: Its id, and that of its call.
        command: The command's name.
        values: The arguments that were submitted so far, page by page.
        page: The page that is shown.
        attempt: How often nothing ran of what was submitted.
        call: Carries out what was submitted; None before.
        touched: When its owner last used it.
    """

    owner: str
    id: str
    command: str
    values: dict[str, Any] = field(default_factory=dict)
    page: int = 0
    attempt: int = 0
    call: Task[Outcome] | None = None
    touched: float

    @property
    def call_id(self) -> str:
        """The id of its call: each attempt of which nothing ran had another."""
        return f"{self.id}-{self.attempt}" if self.attempt else self.id

    @property
    def runs(self) -> bool:
        """Whether its command did not end yet."""
        return self.call is not None and not self.call.done()

    @property
    def account(self) -> str:
        """The bare JID of its owner."""
        return self.owner.partition("/")[0]

    @property
    def over(self) -> bool:
        """Whether its command ended."""
        return self.call is not None and self.call.done()


class Sessions:
    """The sessions of all clients; those that are over take no place from those that are open."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        """Makes it; `now` gives seconds that never jump."""
        self._now = now
        self._sessions: dict[tuple[str, str], Session] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def start(self, owner: str, session_id: str, command: str) -> Session:
        """Begins one.

        Raises:
            StanzaError: `resource-constraint`: there are too many whose commands run.
        """
        self._forget_old()
        session = Session(owner=owner, id=session_id, command=command, touched=self._now())
        found = self._sessions.values()
        self._make_room([each for each in found if each.over], MOST_OVER + 1)
        self._make_room(
            [each for each in found if not each.over and each.account == session.account], MOST_EACH
        )
        self._make_room([each for each in found if not each.over], MOST)
        self._sessions[owner, session_id] = session
        return session

    def find(self, owner: str, session_id: str, command: str) -> Session | None:
        """The one that its owner goes on with."""
        self._forget_old()
        session = self._sessions.get((owner, session_id))
        if session is None or session.command != command:
            return None
        session.touched = self._now()
        return session

    def end(self, session: Session) -> None:
        """Forgets one."""
        self._sessions.pop((session.owner, session.id), None)

    def _make_room(self, sessions: list[Session], most: int) -> None:
        """Forgets those of some that were left longest, until there is room for one more."""
        idle = sorted((each for each in sessions if not each.runs), key=lambda each: each.touched)
        excess = len(sessions) - most + 1
        if excess > len(idle):
            raise stanza_error("resource-constraint", "too many commands run here; try again later")
        for session in idle[: max(excess, 0)]:
            self.end(session)

    def _forget_old(self) -> None:
        oldest = self._now() - LASTING
        for session in [each for each in self._sessions.values() if each.touched < oldest]:
            if not session.runs:
                self.end(session)
