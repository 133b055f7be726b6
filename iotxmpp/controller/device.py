"""A device, as its controller sees it."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from iotxmpp.about import About
from iotxmpp.addresses import DeviceId
from iotxmpp.controller.calls import Measured, call_command
from iotxmpp.controller.description import MAX_CHANNELS
from iotxmpp.controller.pulse import Pulse
from iotxmpp.controller.sessions import Sessions
from iotxmpp.errors import DeviceAwayError, InvalidError, LinkDownError
from iotxmpp.link import REQUEST_TIMEOUT, Link, Presence
from iotxmpp.liveness import Change, State
from iotxmpp.readings import Reading
from iotxmpp.status import DeviceStatus
from iotxmpp.twin import Twin

if TYPE_CHECKING:
    from iotxmpp.controller.queue_ticket import Ticket
    from iotxmpp.controller.twin import Twins

OnCommand = Callable[[str, str, float], None]
"""Told a command's name, its outcome, and the seconds that it took."""


class Queues(Protocol):
    """Takes commands that wait for a device."""

    async def put(
        self, device: str, name: str, arguments: Mapping[str, Any], *, ttl: str | float, by: str = ""
    ) -> "Ticket":
        """Queues a command."""
        ...


class Device:
    """What a controller knows of a device, always the latest; the same object as long as the controller runs.

    Attributes:
        id: The device's id.
        jid: Its bare JID.
        about: Its last good description of itself; None before one is known.
        last_heard: When it was last heard, by readings or presence, by this machine's clock, in seconds since
            1970; None for never.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the controller
        self,
        id: DeviceId,  # noqa: A002  # the attribute's name
        jid: str,
        *,
        link: Link,
        on_command: OnCommand = lambda _command, _outcome, _seconds: None,
        queue: Queues | None = None,
        twins: "Twins | None" = None,
    ) -> None:
        self.id = id
        self.jid = jid
        self.about: About | None = None
        self.last_heard: float | None = None
        self._heard_at: float | None = None
        self._link = link
        self._on_command = on_command
        self._queue = queue
        self._twins = twins
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
    def twin(self) -> Twin:
        """What its settings should be, and what they are, as far as is known."""
        return Twin() if self._twins is None else self._twins.of(self)

    async def known_twin(self) -> Twin:
        """The twin, with what was kept before this controller started; `twin` may not have that yet.

        Raises:
            StoreError: It could not be read.
        """
        return Twin() if self._twins is None else await self._twins.known(self)

    async def desire(self, **settings: Any) -> Twin:  # noqa: ANN401  # any JSON
        """Changes what its settings should be; kept when this returns, sent as soon as the device is there.

        Args:
            settings: Values by name; None takes a setting away. For names that are no words, such as
                `every/temperature`, use `desire_with`.

        Raises:
            InvalidError: The settings break the rules, or this controller keeps none.
            StoreError: It could not be kept; nothing was changed.
        """
        return await self.desire_with(settings)

    async def desire_with(self, settings: Mapping[str, Any], *, by: str = "") -> Twin:
        """The same as `desire`, with the settings in a mapping, for a bare JID; empty for the controller."""
        if self._twins is None:
            raise InvalidError(f"settings of {self.id}: the controller does not run")
        return await self._twins.desire(self, settings, by=by)

    @property
    def silence(self) -> float | None:
        """Seconds since it was last heard, by a clock that nobody sets; None for never."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    async def call(
        self,
        command: str,
        /,
        *,
        timeout: float = REQUEST_TIMEOUT,
        ttl: str | float | None = None,
        **arguments: Any,  # noqa: ANN401  # JSON in
    ) -> Any:  # noqa: ANN401  # JSON out
        """Calls a command and returns its result (XEP-0050).

        Without a `ttl` the command is sent at once or not at all. With one it waits in the controller's store
        until the device is there, behind those that wait already, and this returns when it has ended; see
        `queue`, which does not wait.

        Args:
            command: The command's name.
            timeout: Seconds to wait for the answer, without a ttl; the device does not start it later.
            ttl: How long it may wait for the device, such as `6h`, or a number of seconds.
            arguments: The command's arguments; for one that is called `timeout` or `ttl`, use `call_with`.

        Raises:
            DeviceAwayError: The device has no session; nothing was sent. Never with a ttl.
            ArgumentsError: The arguments do not fit.
            UnknownCommandError: The device has no such command.
            NotAllowedError: The device does not obey this account.
            CommandFailedError: The command was started and failed.
            CommandUnknownError: The command was started, and what became of it is not known.
            CommandExpiredError: It was not started in time.
            CommandCancelledError: Somebody cancelled it before it was started.
            CommandError: Too many commands wait for the device.
            NoAnswerError: No answer in time: it may have been carried out. With a ttl: the controller stops.
            LinkDownError: The link is down or went down: if it went down, it may have been carried out.
            InvalidError: There is a ttl, and this controller keeps no queue; or it is no duration.
            StoreError: The store could not be written; nothing is queued.
        """
        return await self.call_with(command, arguments, timeout=timeout, ttl=ttl)

    async def queue(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, ttl: str | float, by: str = ""
    ) -> "Ticket":
        """Queues a command in the controller's store, and returns at once.

        It is sent when the device is there and awake, after those that wait already, and survives the
        controller's end. The device is asked under one id until a definite answer is there; it carries an id
        out once at most.

        Args:
            command: The command's name.
            arguments: Its arguments; none unless given.
            ttl: How long it may wait, such as `6h`, or a number of seconds; it is not started later.
            by: The bare JID of whom it is called for; empty for the controller itself.

        Returns:
            A ticket, with the command's `id` and `state`; `await ticket.result()` waits for its end.

        Raises:
            ArgumentsError: The arguments cannot travel.
            CommandError: Too many commands wait for the device.
            InvalidError: This controller keeps no queue, or the ttl is no duration.
            StoreError: The store could not be written; nothing is queued.
        """
        if self._queue is None:
            raise InvalidError(
                f"command {command} of {self.id}: this controller keeps no queue, as it does not collect;"
                " call without a ttl, or through the controller that does"
            )
        return await self._queue.put(self.id, command, arguments or {}, ttl=ttl, by=by)

    async def call_with(
        self,
        command: str,
        arguments: Mapping[str, Any],
        *,
        timeout: float = REQUEST_TIMEOUT,
        ttl: str | float | None = None,
    ) -> Any:  # noqa: ANN401  # whatever the command gives
        """The same as `call`, with the arguments in a mapping."""
        if ttl is not None:
            return await (await self.queue(command, arguments, ttl=ttl)).result()
        known = self.about is not None and command in self.about.commands
        with Measured(partial(self._on_command, command if known else "unknown")):
            if not self._link.state.up:
                raise LinkDownError(f"command {command} of {self.id} was not sent: {self._link.state.reason}")
            seen = self._sessions.current
            if seen is None:
                raise DeviceAwayError(f"device {self.id} is {self.state}: command {command} was not sent")
            to = seen.presence.sender
            answer = await call_command(self._link, to, command, arguments, timeout=timeout)
            self.answered(to)
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

    def answered(self, jid: str) -> None:
        """One of its sessions answered: that is the one which is alive. For the controller."""
        self._sessions.heard(jid)
        self._pulse.saw_presence()
        self.hear()

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
