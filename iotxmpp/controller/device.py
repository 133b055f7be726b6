"""A device, as its controller sees it."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from iotxmpp.about import About
from iotxmpp.addresses import DeviceId
from iotxmpp.controller.calls import call_command, measured
from iotxmpp.controller.description import MAX_CHANNELS
from iotxmpp.controller.pulse import Pulse
from iotxmpp.controller.sessions import Sessions
from iotxmpp.errors import DeviceAwayError, LinkDownError
from iotxmpp.link import REQUEST_TIMEOUT, Link, Presence
from iotxmpp.liveness import Change, State
from iotxmpp.readings import Reading
from iotxmpp.status import DeviceStatus

OnCommand = Callable[[str, str, float], None]
"""Told a command's name, its outcome, and the seconds that it took."""


class Device:
    """What a controller knows of a device, always the latest; the same object as long as the controller runs.

    Attributes:
        id: The device's id.
        jid: Its bare JID.
        about: Its last good description of itself; None before one is known.
        last_heard: When it was last heard, by readings or presence, by this machine's clock, in seconds since
            1970; None for never.
    """

    def __init__(
        self,
        id: DeviceId,  # noqa: A002  # the attribute's name
        jid: str,
        *,
        link: Link,
        on_command: OnCommand = lambda _command, _outcome, _seconds: None,
    ) -> None:
        self.id = id
        self.jid = jid
        self.about: About | None = None
        self.last_heard: float | None = None
        self._heard_at: float | None = None
        self._link = link
        self._on_command = on_command
        self._readings: dict[str, Reading] = {}
        self._sessions = Sessions(jid, link_up=link.state.up)
        self._pulse = Pulse(self._sessions, link_up=link.state.up)

    def __repr__(self) -> str:
        return f"Device({self.id!r}, {self.state})"

    @property
    def online(self) -> bool:
        """Whether it is there, as far as anybody can say: `online`, or `stale`, which is only a doubt."""
        return self.state in {"online", "stale"}

    @property
    def state(self) -> State:
        """`online`, `stale`, `lost`, `sleeping`, `offline` or `unknown`.

        `stale`: silent for longer than it promised. `lost`: it answers no ping, or its session ended without
        a goodbye. `sleeping`: as it said. `offline`: it stopped, and said so. `unknown`: our own link is
        down, or presence has not come yet.
        """
        return self._pulse.liveness.state

    @property
    def liveness(self) -> Change | None:
        """The last change of its state: from what, why and when; None while there was none."""
        return self._pulse.last

    @property
    def presence(self) -> Presence | None:
        """The presence of its newest session, or its last unavailable one; None while unknown."""
        seen = self._sessions.latest
        return None if seen is None else seen.presence

    @property
    def status(self) -> DeviceStatus | None:
        """What it says of itself in that presence; None if nothing."""
        seen = self._sessions.latest
        return None if seen is None else seen.status

    @property
    def readings(self) -> Mapping[str, Reading]:
        """The latest accepted reading of each channel."""
        return MappingProxyType(self._readings)

    @property
    def silence(self) -> float | None:
        """Seconds since it was last heard, by a clock that nobody sets; None for never."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    async def call(self, command: str, /, *, timeout: float = REQUEST_TIMEOUT, **arguments: Any) -> Any:  # noqa: ANN401  # JSON in, JSON out
        """Calls a command and returns its result (XEP-0050).

        Args:
            command: The command's name.
            timeout: Seconds to wait for the answer; the device does not start it later.
            arguments: The command's arguments; for one that is called `timeout`, use `call_with`.

        Raises:
            DeviceAwayError: The device has no session; nothing was sent.
            ArgumentsError: The arguments do not fit.
            UnknownCommandError: The device has no such command.
            NotAllowedError: The device does not obey this account.
            CommandFailedError: The command was started and failed.
            NoAnswerError: No answer in time: it may have been carried out.
            LinkDownError: The link is down or went down: if it went down, it may have been carried out.
        """
        return await self.call_with(command, arguments, timeout=timeout)

    async def call_with(
        self, command: str, arguments: Mapping[str, Any], *, timeout: float = REQUEST_TIMEOUT
    ) -> Any:  # noqa: ANN401  # whatever the command gives
        """The same as `call`, with the arguments in a mapping."""
        known = self.about is not None and command in self.about.commands
        with measured(partial(self._on_command, command if known else "unknown")):
            if not self._link.state.up:
                raise LinkDownError(f"command {command} of {self.id} was not sent: {self._link.state.reason}")
            seen = self._sessions.current
            if seen is None:
                raise DeviceAwayError(f"device {self.id} is {self.state}: command {command} was not sent")
            answer = await call_command(self._link, seen.presence.sender, command, arguments, timeout=timeout)
            self.hear()
            return answer

    @property
    def sessions(self) -> Sessions:
        """Its sessions; for the controller."""
        return self._sessions

    @property
    def pulse(self) -> Pulse:
        """Its liveness by the clock; for the controller."""
        return self._pulse

    def hear(self, readings: Iterable[Reading] = ()) -> None:
        """Takes accepted readings, or a mere sign of life; for the controller."""
        self._mark_heard()
        for reading in readings:
            if reading.channel in self._readings or len(self._readings) < MAX_CHANNELS:
                self._readings[reading.channel] = reading
        self._pulse.heard()

    def show(self, readings: Iterable[Reading]) -> None:
        """Takes new live readings as its latest; for the controller."""
        for reading in readings:
            if reading.channel in self._readings or len(self._readings) < MAX_CHANNELS:
                self._readings[reading.channel] = reading

    def recall(self, readings: Iterable[Reading]) -> None:
        """Takes what the store has of it, where nothing newer is known; for the controller."""
        self.show(
            reading
            for reading in readings
            if reading.channel not in self._readings
            and (self.about is None or reading.channel in self.about.channels)
        )

    def saw_presence(self, presence: Presence) -> None:
        """Its sessions took this presence in; for the controller."""
        seen = self._sessions.current
        if seen is not None and seen.presence is presence:
            self._mark_heard()
        self._pulse.saw_presence()

    def describe(self, about: About) -> None:
        """Takes its description; readings of other channels are forgotten. For the controller."""
        self.about = about
        for channel in self._readings.keys() - about.channels.keys():
            del self._readings[channel]

    def _mark_heard(self) -> None:
        self.last_heard = time.time()
        self._heard_at = time.monotonic()
