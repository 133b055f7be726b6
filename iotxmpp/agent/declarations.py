"""What a device reads and does, declared with decorators."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, get_args, overload

from iotxmpp.about import Channel, ValueType
from iotxmpp.agent.channels import check_channel
from iotxmpp.agent.outbox.settings import WhenFull
from iotxmpp.agent.plan import Urgent
from iotxmpp.agent.sensors import AT_LEAST, Bounds, Channels, Rhythm, Sensor, make_sensor
from iotxmpp.agent.settings import Setting, add_setting, make_setting
from iotxmpp.commands import CommandSpec
from iotxmpp.errors import InvalidError
from iotxmpp.serving.command import Command

F = TypeVar("F", bound=Callable[..., Any])


class Declarations:
    """The sensors, channels and commands of a device; they can change while it does not run."""

    def __init__(self, profiled: Mapping[str, Channel]) -> None:
        """Starts with the channels of a profile, which nobody reads yet."""
        self._channels: dict[str, Channel] = dict(profiled)
        self._unread: set[str] = set(profiled)
        self._sensors: list[Sensor] = []
        self._commands: dict[str, Command] = {}
        self._settings: dict[str, Setting] = {}
        self._resources: list[AbstractAsyncContextManager[Any]] = []
        self._when_full: dict[str, WhenFull] = {}
        self._urgent: dict[str, Urgent] = {}
        self._in_use = False

    def sensor(  # noqa: PLR0913  # what one line of a script can say
        self,
        channels: Channels,
        *,
        unit: str | None = None,
        every: float = 30.0,
        range: Bounds | Mapping[str, Bounds] | None = None,  # noqa: A002  # the channel's own word
        on_change: bool = False,
        delta: float = 0.0,
        at_least: float = AT_LEAST,
        description: str = "",
        urgent: Urgent = False,
        when_full: WhenFull | None = None,
    ) -> Callable[[F], F]:
        """Declares a function that reads one channel, or several at one time.

        ```python
        @agent.sensor("temperature", unit="Cel", every=30, range=(-40, 85))
        def temperature() -> float: ...

        @agent.sensor({"temperature": "Cel", "humidity": "%RH"}, every=30)
        def climate() -> dict[str, float]: ...
        ```

        The function is sampled off the loop unless it is a coroutine function. It returns the value, a dict
        by channel or a tuple in their order, and None for what cannot be read now.

        Args:
            channels: A channel's name; or a dict of several, each with its unit, None, or a whole `Channel`.
            unit: The SenML unit of one channel, such as `Cel`.
            every: Seconds between samples.
            range: The least and the greatest possible value; a dict by name where they differ.
            on_change: Publishes only samples that changed.
            delta: With `on_change`, the change of a number that counts is greater than this.
            at_least: With `on_change`, seconds after which an unchanged value is published all the same, at
                the nearest sample, so that a controller that comes later sees it.
            description: For people; the first line of the function's docstring unless given.
            urgent: Its readings are alarms, written to disk and sent at once; or says which values are.
            when_full: What happens to its readings when the outbox is full; as the agent says unless given.

        Raises:
            InvalidError: A rule is broken, the return annotation says no type, or a channel is declared
                twice.
        """
        rhythm = Rhythm(every=every, on_change=on_change, delta=delta, at_least=at_least)

        def declare(function: F) -> F:
            sensor = make_sensor(
                function,
                channels,
                unit=unit,
                bounds=range,
                description=description,
                rhythm=rhythm,
                known={name: self._channels[name] for name in self._unread},
            )
            self.add_sensor(sensor)
            self._treat(sensor.channels, urgent, when_full)
            return function

        return declare

    @overload
    def command(self, function: F, /) -> F: ...

    @overload
    def command(
        self,
        *,
        name: str | None = None,
        title: str = "",
        role: str = "operator",
        idempotent: bool = False,
        steps: Sequence[Sequence[str]] = (),
    ) -> Callable[[F], F]: ...

    def command(  # noqa: PLR0913  # what one line of a script can say
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        title: str = "",
        role: str = "operator",
        idempotent: bool = False,
        steps: Sequence[Sequence[str]] = (),
    ) -> Any:
        """Declares a function that serves a command, with arguments by its annotations.

        The function runs off the loop unless it is a coroutine function. What it returns goes to the caller
        as JSON; what it raises tells the caller that the command failed. The same command runs one at a
        time. A call is started at most once, however often it is asked for: its id is on disk before.

        Args:
            function: The function, where nothing else is given.
            name: What callers call it; the function's name unless given.
            title: A few words for people.
            role: The role that a caller needs at least: `observer`, `operator`, `maintainer`, or one's own.
            idempotent: Doing it twice is the same as doing it once: nothing is written down before it runs,
                and a call that is asked for again may run again.
            steps: The pages of a person's form: the names of each page's arguments, every argument once.

        Raises:
            InvalidError: An annotation is missing or cannot be served, or the name is taken.
        """

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            spec = CommandSpec.from_function(
                function, name=name, title=title, role=role, idempotent=idempotent, steps=steps
            )
            self.add_command(spec, function)
            return function

        return declare if function is None else declare(function)

    def setting(self, name: str) -> Callable[[F], F]:
        """Declares a function of one argument that applies a setting, which the collector may change.

        It is called at each start with the value that was desired last, or else its argument's default; and
        at each change. What it raises refuses the value. See `docs/twin.md`.

        Raises:
            InvalidError: It has not one annotated argument, or the name is none or taken.
        """

        def declare(function: F) -> F:
            self._check_declaring()
            add_setting(self._settings, make_setting(function, name))
            return function

        return declare

    def channel(  # noqa: PLR0913  # what one line of a script can say
        self,
        name: str,
        *,
        type: ValueType,  # noqa: A002  # the channel's own word
        unit: str | None = None,
        range: Bounds | None = None,  # noqa: A002  # likewise
        description: str = "",
        urgent: Urgent = False,
        when_full: WhenFull | None = None,
    ) -> None:
        """Declares a channel that no sensor samples: its readings come from `publish` and `publish_soon`.

        `urgent` and `when_full` are as for `sensor`.

        Raises:
            InvalidError: A rule is broken, or the channel is declared already.
        """
        channel = Channel(type=type, unit=unit, range=range, description=description)
        self._add_channels({name: channel})
        self._treat([name], urgent, when_full)

    def add_sensor(self, sensor: Sensor) -> None:
        """Declares a sensor that was made elsewhere.

        Raises:
            InvalidError: One of its channels is declared already.
        """
        self._add_channels(sensor.channels)
        self._sensors.append(sensor)

    def add_command(self, spec: CommandSpec, function: Callable[..., object]) -> None:
        """Declares a command whose rules were made elsewhere.

        Raises:
            InvalidError: The name is taken.
        """
        self._check_declaring()
        if spec.name in self._commands:
            raise InvalidError(f"command {spec.name}: declared twice")
        # What serves it, before the link's libraries come: they use what loading leaves free, up to 0.8 MB.
        from iotxmpp.serving import audit, server  # noqa: F401, PLC0415  # to have them loaded

        self._commands[spec.name] = Command(spec=spec, function=function)

    def add_resource(self, resource: AbstractAsyncContextManager[Any]) -> None:
        """Enters something, such as a driver, at the start of each run, and leaves it at the end."""
        self._check_declaring()
        self._resources.append(resource)

    def _add_channels(self, channels: Mapping[str, Channel]) -> None:
        self._check_declaring()
        for name, channel in channels.items():
            check_channel(name, channel)
            if name in self._channels and name not in self._unread:
                raise InvalidError(f"channel {name}: declared twice")
        self._unread -= channels.keys()
        self._channels.update(channels)

    def _treat(self, channels: Iterable[str], urgent: Urgent, when_full: WhenFull | None) -> None:
        if when_full is not None and when_full not in get_args(WhenFull):
            raise InvalidError(f"when_full: {when_full!r}; use {', '.join(get_args(WhenFull))}")
        for name in channels:
            self._urgent[name] = urgent
            if when_full is not None:
                self._when_full[name] = when_full

    def _check_declaring(self) -> None:
        if self._in_use:
            raise InvalidError("declare sensors, channels and commands before the agent runs")
