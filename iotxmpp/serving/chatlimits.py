"""How much an account may write to a device."""

from collections import OrderedDict, deque
from collections.abc import Callable

from iotxmpp.link import Message

MOST_MESSAGES = 10
WITHIN = 10.0
"""So many messages of one account are taken within so many seconds."""

SAME_ID_WITHIN = 60.0
"""Seconds within which a message of the same session and id is the same message."""

_MOST_SENDERS = 256
_MOST_IDS = 256


class Senders:
    """How often each account wrote, and which messages came already."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrote: OrderedDict[str, deque[float]] = OrderedDict()
        self._told: set[str] = set()
        self._ids: OrderedDict[tuple[str, str], float] = OrderedDict()

    def repeats(self, message: Message) -> bool:
        """Whether it came within the last minute; a session that is resumed can deliver one twice."""
        if not message.id:
            return False
        key, now = (message.sender, message.id), self._clock()
        again = now - self._ids.get(key, float("-inf")) < SAME_ID_WITHIN
        self._ids[key] = now
        self._ids.move_to_end(key)
        while len(self._ids) > _MOST_IDS:
            self._ids.popitem(last=False)
        return again

    def may(self, sender: str) -> bool:
        """Whether one more message of that account is taken."""
        now = self._clock()
        wrote = self._wrote.setdefault(sender, deque(maxlen=MOST_MESSAGES))
        self._wrote.move_to_end(sender)
        while len(self._wrote) > _MOST_SENDERS:
            self._told.discard(self._wrote.popitem(last=False)[0])
        if len(wrote) == MOST_MESSAGES and now - wrote[0] < WITHIN:
            return False
        wrote.append(now)
        self._told.discard(sender)
        return True

    def complaint(self, sender: str) -> str | None:
        """What to say to an account that writes too much: once."""
        if sender in self._told:
            return None
        self._told.add(sender)
        return (
            f"That was too much: at most {MOST_MESSAGES} messages in {WITHIN:.0f} s; this one was not obeyed."
        )
