"""What a device writes to people: marked as automatic; alarms seldom enough to be read."""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from xml.etree.ElementTree import Element

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import IotxmppError
from iotxmpp.link import Message, MessageKind
from iotxmpp.xmltext import clean_text

AUTOMATIC = "{urn:iotxmpp:chat:0}automatic"
"""Marks what no person wrote: nobody's agent answers it, so two agents cannot talk without end."""

SAME_AGAIN_AFTER = 60.0
"""Seconds before the same alarm is raised again."""

MOST = ((60.0, 6), (3600.0, 60))
"""So many alarms a person gets within so many seconds, at most."""

LONGEST_TEXT = 4000
"""Characters of a message to people; more is cut."""

_MOST_KEYS = 1000
_LOGGER = logging.getLogger(__name__)


def automatic_message(text: str, kind: MessageKind = "chat") -> Message:
    """A message that says of itself that no person wrote it."""
    return Message(text=clean_text(text, LONGEST_TEXT), kind=kind, extensions=(Element(AUTOMATIC),))


class Alarms:
    """Writes alarms to people.

    What a limit holds back is not kept; the next alarm that goes out says how many there were.
    """

    def __init__(
        self,
        people: Sequence[str],
        send: Callable[[str, Message], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes it.

        Args:
            people: Their bare JIDs.
            send: Sends a message, as `Link.send` does.
            clock: Gives seconds; tests give their own.

        Raises:
            InvalidError: One is no JID of an account.
        """
        self._people = {bare_jid(each): _Person() for each in people}
        self._send = send
        self._clock = clock
        self._raised: OrderedDict[str, float] = OrderedDict()

    async def raise_alarm(self, text: str, *, key: str = "") -> int:
        """Writes an alarm to each of the people whose limits allow it; never raises.

        Args:
            text: What to say.
            key: What it is about: alarms of one key go out once a minute; the text unless given.

        Returns:
            To how many people it was sent.
        """
        now = self._clock()
        again = not self._is_new(key or text, now)
        sent = 0
        for jid, person in self._people.items():
            if again or not person.may(now):
                person.held_back += 1
            else:
                sent += await self._write(jid, person, text, now)
        return sent

    def _is_new(self, key: str, now: float) -> bool:
        last = self._raised.get(key)
        if last is not None and now - last < SAME_AGAIN_AFTER:
            return False
        self._raised[key] = now
        self._raised.move_to_end(key)
        while len(self._raised) > _MOST_KEYS:
            self._raised.popitem(last=False)
        return True

    async def _write(self, jid: str, person: "_Person", text: str, now: float) -> bool:
        held_back, person.held_back = person.held_back, 0
        person.sent.append(now)
        more = f" ({held_back} more were held back)" if held_back else ""
        try:
            await self._send(jid, automatic_message(f"{clean_text(text, LONGEST_TEXT - 60)}{more}"))
        except IotxmppError as error:
            _LOGGER.warning("alarm to %s: %s", jid, error)
            person.held_back += held_back + 1
            return False
        return True


class _Person:
    def __init__(self) -> None:
        self.sent: deque[float] = deque(maxlen=max(count for _, count in MOST))
        self.held_back = 0

    def may(self, now: float) -> bool:
        return all(sum(now - each < seconds for each in self.sent) < count for seconds, count in MOST)
