"""The handlers that a user declared, with what their annotations ask for."""

from dataclasses import dataclass
from typing import Self

from iotxmpp.controller.device import Device
from iotxmpp.controller.handlers import Function, Parameters, name_of, parameters_of, second_of
from iotxmpp.controller.wants import Want, want_of
from iotxmpp.errors import InvalidError
from iotxmpp.link import Presence
from iotxmpp.liveness import Change
from iotxmpp.readings import Reading
from iotxmpp.twin import Twin


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingHandler:
    """A handler of readings.

    Attributes:
        function: The user's function.
        channels: The channels that it is for; empty for all.
        want: What it is given.
        device: How its device parameter is called; None where it has none.
        historical: It is given readings that came late, too.
    """

    function: Function
    channels: frozenset[str]
    want: Want
    device: str | None
    historical: bool = False

    def is_for(self, reading: Reading) -> bool:
        """Whether it is given this reading."""
        chosen = not self.channels or reading.channel in self.channels
        return chosen and (self.historical or not reading.historical)

    @classmethod
    def of(cls, function: Function, channels: tuple[str, ...], *, historical: bool = False) -> Self:
        """Reads a function's annotations.

        Raises:
            InvalidError: One of them cannot be served.
        """
        parameters = parameters_of(function)
        name = name_of(function)
        if not parameters:
            raise InvalidError(
                f"handler {name}: it takes nothing; give it a parameter such as reading: Reading"
            )
        named = frozenset(channels)
        return cls(
            function=function,
            channels=named,
            want=want_of(parameters[0], name, named),
            device=second_of(function, parameters, Device, "device"),
            historical=historical,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PresenceHandler:
    """A handler of presence.

    Attributes:
        function: The user's function.
        presence: How its presence parameter is called; None where it has none.
    """

    function: Function
    presence: str | None

    @classmethod
    def of(cls, function: Function) -> Self:
        """Reads a function's annotations.

        Raises:
            InvalidError: One of them cannot be served.
        """
        parameters = parameters_of(function)
        _check_device_first(function, parameters)
        return cls(function=function, presence=second_of(function, parameters, Presence, "presence"))


@dataclass(frozen=True, kw_only=True, slots=True)
class LivenessHandler:
    """A handler of changes of liveness.

    Attributes:
        function: The user's function.
        change: How its change parameter is called; None where it has none.
    """

    function: Function
    change: str | None

    @classmethod
    def of(cls, function: Function) -> Self:
        """Reads a function's annotations.

        Raises:
            InvalidError: One of them cannot be served.
        """
        parameters = parameters_of(function)
        _check_device_first(function, parameters)
        return cls(function=function, change=second_of(function, parameters, Change, "change"))


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinHandler:
    """A handler of changes of a twin.

    Attributes:
        function: The user's function.
        twin: How its twin parameter is called; None where it has none.
    """

    function: Function
    twin: str | None

    @classmethod
    def of(cls, function: Function) -> Self:
        """Reads a function's annotations.

        Raises:
            InvalidError: One of them cannot be served.
        """
        parameters = parameters_of(function)
        _check_device_first(function, parameters)
        return cls(function=function, twin=second_of(function, parameters, Twin, "twin"))


def _check_device_first(function: Function, parameters: Parameters) -> None:
    first = parameters[0] if parameters else None
    if first is None or first.annotation not in {Device, first.empty}:
        raise InvalidError(f"handler {name_of(function)}: its first parameter must be device: Device")
