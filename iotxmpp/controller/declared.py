"""The handlers that a user declared, with what their annotations ask for."""

from dataclasses import dataclass
from typing import Self

from iotxmpp.controller.device import Device
from iotxmpp.controller.handlers import Function, name_of, parameters_of, second_of
from iotxmpp.controller.wants import Want, want_of
from iotxmpp.errors import InvalidError
from iotxmpp.link import Presence


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingHandler:
    """A handler of readings.

    Attributes:
        function: The user's function.
        channels: The channels that it is for; empty for all.
        want: What it is given.
        device: How its device parameter is called; None where it has none.
    """

    function: Function
    channels: frozenset[str]
    want: Want
    device: str | None

    @classmethod
    def of(cls, function: Function, channels: tuple[str, ...]) -> Self:
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
        first = parameters[0] if parameters else None
        if first is None or first.annotation not in {Device, first.empty}:
            raise InvalidError(f"handler {name_of(function)}: its first parameter must be device: Device")
        return cls(function=function, presence=second_of(function, parameters, Presence, "presence"))
