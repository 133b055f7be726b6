"""A simulated board at a wire in memory: the driver above it is the real one."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial

from firmware_bridge.messages import Channel, Parameter, Report
from firmware_bridge.port import Receiver
from firmware_bridge.simulated import SimulatedBoard, SimulatedCommand
from firmware_bridge.values import Kind, write_value
from iotxmpp.agent.drivers.moment import Moment
from iotxmpp.errors import CommandFailedError, ConfigError
from iotxmpp.kinds import ReadingKind
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

EVERY = 1.0
"""Seconds between two reports of a simulated board."""

MOST = 255
"""Channels that a board may have."""

_OF_A_REPORT = 16
_INTEGERS = 1 << 31
_KINDS = {"float": Kind.FLOAT, "int": Kind.INT, "bool": Kind.BOOL, "str": Kind.STR}


class ProfileBoard(SimulatedBoard):
    """A board that measures and does what a profile says.

    Args:
        profile: The kind of device.
        names: The board's name of each of the profile's channels.
        seed: Boards with different seeds have different values.
        id: Which board it is.
        every: Seconds between two reports.

    Raises:
        ConfigError: It has more channels than a board may have.
    """

    def __init__(
        self,
        profile: Profile,
        names: Mapping[str, str],
        *,
        seed: str,
        id: str,  # noqa: A002  # the protocol's own word
        every: float = EVERY,
    ) -> None:
        kinds = profile.reading_kinds()
        if len(names) > MOST:
            raise ConfigError(f"driver serial: {len(names)} channels; a board has at most {MOST}")
        self._effects = Effects(profile)
        self._channels_of = {board: channel for channel, board in names.items()}
        self._kinds = kinds
        self._seed = seed
        super().__init__(
            id=id,
            name=profile.id,
            version=profile.version,
            channels=[_channel(index, names[name], kinds[name]) for index, name in enumerate(names)],
            commands=[
                SimulatedCommand(
                    name=str(command.source.get("name", name)),
                    run=partial(self._effects.run, name),
                    parameters=tuple(
                        Parameter(
                            kind=_KINDS[argument.type],
                            optional=not argument.required and argument.default is None,
                            name=key,
                        )
                        for key, argument in command.args.items()
                    ),
                    idempotent=command.idempotent,
                )
                for name, command in profile.commands.items()
            ],
            value=self._signal,
            every=every,
            boot=int(time.time()) & 0xFFFFFFFF,
        )

    def report(self, now: float) -> None:
        """Sends the values of all channels, in as many reports as they take."""
        self._number += 1
        for start in range(0, len(self.channels), _OF_A_REPORT):
            data = b"".join(
                bytes((each.index,)) + write_value(each.kind, self.value(each, self._number))
                for each in self.channels[start : start + _OF_A_REPORT]
            )
            self._send(Report(seq=self._next_seq(), millis=self._clock(now), data=data))

    def _signal(self, channel: Channel, number: int) -> Value:
        del number
        name = self._channels_of[channel.name]
        value = self._effects.value(name)
        if value is None:
            value = Moment(self._kinds, seed=self._seed, now=time.time()).value(name)
        if channel.kind is Kind.INT:
            return max(-_INTEGERS, min(_INTEGERS - 1, int(value)))
        return value


class Effects:
    """What commands did to channels."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._channels = profile.channels()
        self._set: dict[str, tuple[Value, float | None]] = {}

    def run(self, name: str, arguments: Mapping[str, Value]) -> Value | None:
        """Carries out a command.

        Raises:
            CommandFailedError: It names a channel that the device does not have.
        """
        effect = self._profile.commands[name].simulated
        if effect is None:
            return None
        channel = effect.channel(arguments)
        if channel not in self._channels:
            raise CommandFailedError(f"no channel {channel}")
        value = effect.value if effect.to is None else arguments.get(effect.to, effect.value)
        lasting = arguments.get(effect.lasting) if effect.lasting else None
        until = time.monotonic() + lasting if isinstance(lasting, int | float) else None
        self._set[channel] = (value, until)
        return value

    def value(self, channel: str) -> Value | None:
        """What a channel was set to, if that holds still."""
        value, until = self._set.get(channel, (None, None))
        if until is not None and time.monotonic() >= until:
            del self._set[channel]
            return None
        return value


class MemoryPort:
    """The wire to a simulated board.

    Args:
        board: The board; it is started.
        receiver: Gets what it sends.
    """

    def __init__(self, board: SimulatedBoard, receiver: Receiver) -> None:
        self._board = board
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        board.start(self._loop.time())
        self._loop.call_soon(self._turn)

    def write(self, data: bytes) -> None:
        """Sends to the board."""
        if not self._closed:
            self._board.receive(data, self._loop.time())
            self._loop.call_soon(self._turn)

    async def close(self) -> None:
        """Switches the board off."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        """One turn of the board's loop."""
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._board.tick(self._loop.time())
        due = self._board.next_timeout()
        self._timer = None if due is None else self._loop.call_at(due, self._turn)
        data = self._board.outgoing()
        if data:
            self._receiver.received(data)


def _channel(index: int, name: str, kind: ReadingKind) -> Channel:
    low, high = kind.range or (None, None)
    return Channel(index=index, kind=_KINDS[kind.type], name=name, unit=kind.unit or "", low=low, high=high)
