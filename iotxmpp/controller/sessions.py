"""What presence says of one device: its sessions, and whether it is online."""

from dataclasses import dataclass
from typing import Literal

from iotxmpp.link import Presence
from iotxmpp.status import DeviceStatus

State = Literal["online", "offline", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """An available session.

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
        self._gone: Presence | None = None
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
    def current(self) -> Seen | None:
        """The session that takes commands: the newest with a status, else the newest; None if none is."""
        if not (self._link_up and self._there):
            return None
        newest_first = list(reversed(self._there.values()))
        return next((seen for seen in newest_first if seen.status is not None), newest_first[0])

    @property
    def presence(self) -> Presence | None:
        """The current session's presence, or the last one's unavailable presence; None while unknown."""
        if self.current is not None:
            return self.current.presence
        return self._gone if self.state == "offline" else None

    def see(self, presence: Presence, status: DeviceStatus | None) -> None:
        """Takes a presence in."""
        self._ever_seen = True
        self._there.pop(presence.sender, None)  # the newest stands last
        if presence.available:
            self._there[presence.sender] = Seen(presence=presence, status=status)
            return
        if "/" not in presence.sender:  # the whole account is away
            self._there.clear()
        if not self._there:
            self._gone = presence

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
            self._gone = Presence(sender=self._jid, available=False)

    def news(self) -> Presence | None:
        """The presence to tell handlers, if it differs from what they were told last; None otherwise."""
        presence = self.presence
        if presence is None:
            return None
        seen = self.current
        problems = seen.status.problems if seen is not None and seen.status is not None else ()
        told = (presence.available, presence.show, presence.text, problems)
        if told == self._told:
            return None
        self._told = told
        return presence
