"""What presence says of one device: its sessions, and whether it is online."""

from dataclasses import dataclass
from typing import Literal

from iotxmpp.link import Presence
from iotxmpp.status import DeviceStatus

State = Literal["online", "offline", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A session that is there, or the last one that left.

    Attributes:
        presence: Its latest presence.
        status: What the device said of itself in it.
    """

    presence: Presence
    status: DeviceStatus | None


class Sessions:
    """The sessions of one device.

    Nothing is known while our own link is down. After that, a resumed link goes on with what was known; a new
    one starts from nothing, and the server says who is there.
    """

    def __init__(self, jid: str, *, link_up: bool) -> None:
        self._jid = jid
        self._link_up = link_up
        self._there: dict[str, Seen] = {}
        self._gone: Seen | None = None
        self._ever_seen = False
        self._told: object = None

    @property
    def state(self) -> State:
        """Whether any session is there; `unknown` while nobody told us."""
        if not self._link_up:
            return "unknown"
        if self._there:
            return "online"
        return "unknown" if self._gone is None else "offline"

    @property
    def there(self) -> tuple[Seen, ...]:
        """All sessions that are there, the one heard last at the end; none while our link is down."""
        return tuple(self._there.values()) if self._link_up else ()

    @property
    def current(self) -> Seen | None:
        """The session that takes commands: of those with a status the one heard last, else of all; or None.

        Servers show the session of a killed program for a while. Of those that are alive, an answer or the
        next presence comes later than of that one.
        """
        return next(iter(self._likeliest), None)

    @property
    def to_ask(self) -> list[str]:
        """The full JIDs of those that may be the device, the likeliest first."""
        return [seen.presence.sender for seen in self._likeliest]

    @property
    def _likeliest(self) -> list[Seen]:
        heard_last_first = list(reversed(self.there))
        return [seen for seen in heard_last_first if seen.status is not None] or heard_last_first[:1]

    @property
    def latest(self) -> Seen | None:
        """The current session, or the last one as it left; None while nothing is known."""
        return self.current or (self._gone if self.state == "offline" else None)

    def see(self, presence: Presence, status: DeviceStatus | None) -> None:
        """Takes a presence in."""
        self._ever_seen = True
        before = self._there.pop(presence.sender, None)  # who is heard stands last
        seen = Seen(presence=presence, status=status)
        if presence.available:
            self._there[presence.sender] = seen
            return
        if "/" not in presence.sender and self._there:  # the whole account is away
            before = seen
            self._there.clear()
        if not self._there and (before is not None or self._gone is None):
            self._gone = seen

    def heard(self, jid: str) -> None:
        """A session answered something."""
        seen = self._there.pop(jid, None)
        if seen is not None:
            self._there[jid] = seen

    def link_down(self) -> None:
        """Our link went down."""
        self._link_up = False

    def link_up(self, *, resumed: bool) -> None:
        """Our link is up again."""
        self._link_up = True
        if not resumed:
            self._there.clear()
            self._gone = None

    def settle(self) -> None:
        """Some seconds of a new session have passed: who was seen before, and not since, is offline."""
        if self._ever_seen and self.state == "unknown" and self._link_up:
            self._gone = Seen(presence=Presence(sender=self._jid, available=False), status=None)

    def news(self) -> Presence | None:
        """The presence to tell handlers, if it differs from what they were told last; None otherwise."""
        seen = self.latest
        if seen is None:
            return None
        presence = seen.presence
        problems = None if seen.status is None else seen.status.problems
        told = (presence.available, presence.show, presence.text, problems)
        if told == self._told:
            return None
        self._told = told
        return presence
