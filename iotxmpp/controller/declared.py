"""The handlers that a user declared, with what their annotations ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from iotxmpp.controller.columns import Columns, live_of
from iotxmpp.controller.device import Device
from iotxmpp.controller.handlers import Function, Parameters, name_of, parameters_of, second_of
from iotxmpp.controller.wants import Want, want_of
from iotxmpp.controller.worker import Arguments
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Reading

What = TypeVar("What")


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

    def chosen(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Those of an item's readings that it is given."""
        wanted = readings if self.historical else live_of(readings)
        if not self.channels:
            return wanted
        if isinstance(wanted, Columns):
            return wanted.of(self.channels)
        return [each for each in wanted if each.channel in self.channels]

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
class ChangeHandler(Generic[What]):
    """A handler of one kind of change of devices: of their presence, their liveness, or their twins.

    Attributes:
        function: The user's function; its first parameter is the device.
        name: How the parameter for what is new is called; None where it has none.
    """

    function: Function
    name: str | None

    @classmethod
    def of(cls, function: Function, wanted: type[What], usual: str) -> Self:
        """Reads a function's annotations.

        Args:
            function: The user's function.
            wanted: The type of what is new.
            usual: The name of its parameter where that has no annotation.

        Raises:
            InvalidError: One of them cannot be served.
        """
        parameters = parameters_of(function)
        _check_device_first(function, parameters)
        return cls(function=function, name=second_of(function, parameters, wanted, usual))

    def arguments(self, news: tuple[Device, What]) -> Arguments:
        """What the function is called with."""
        device, what = news
        return (device,), {self.name: what} if self.name else {}


def _check_device_first(function: Function, parameters: Parameters) -> None:
    first = parameters[0] if parameters else None
    if first is None or first.annotation not in {Device, first.empty}:
        raise InvalidError(f"handler {name_of(function)}: its first parameter must be device: Device")
