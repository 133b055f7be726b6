"""Which registers a profile's channels are, and where their device is: settings and sources, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from iotxmpp.addresses import is_host_name
from iotxmpp.agent.drivers import check_source
from iotxmpp.agent.drivers.modbus.codec import Datatype, Order, decode, encode, size
from iotxmpp.agent.drivers.texts import PlainName
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import ReadingKind, reading_of
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

Function = Literal["holding", "input", "coil", "discrete"]

BITS = frozenset({"coil", "discrete"})
WRITABLE = frozenset({"coil", "holding"})
_END = 0x10000
_MOST_SERIAL = 247


class ModbusSettings(BaseModel):
    """Settings of the modbus driver.

    Attributes:
        port: The serial port of an RS-485 adapter, such as `/dev/ttyUSB0`; or `host`.
        host: The address of a device or gateway that speaks Modbus TCP.
        tcp_port: Its port.
        baud: Bits a second on the serial line.
        parity: None, even or odd, by its letter.
        stop_bits: Stop bits; two are usual without parity, and most devices take one.
        unit: The device's address on the line, 1 to 247; over TCP 0 to 255.
        timeout: Seconds that an answer may take; it is asked for twice.
        simulated: Whether the device is a made-up one, in this process.
        seed: Simulated devices with different seeds differ; the profile's id unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    port: PlainName | None = None
    host: PlainName | None = None
    tcp_port: int = Field(default=502, ge=1, le=65535)
    baud: int = Field(default=9600, ge=300, le=4_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    unit: int = Field(default=1, ge=0, le=255)
    timeout: float = Field(default=1.0, gt=0, le=60, allow_inf_nan=False)
    simulated: bool = False
    seed: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.port is not None and self.host is not None:
            raise ValueError("port and host: give one, the serial port or the address on the network")
        if self.host is not None and not is_host_name(self.host):
            raise ValueError(f"host {self.host[:80]!r}: no host's name or address; give one, as 192.0.2.7")
        if not self.simulated and self.port is None and self.host is None:
            raise ValueError(
                'where is it? Give port = "/dev/ttyUSB0" (an RS-485 adapter) or host = "192.0.2.7" (TCP)'
            )
        if self.host is None and not 1 <= self.unit <= _MOST_SERIAL:
            raise ValueError(f"unit {self.unit}: on a serial line from 1 to {_MOST_SERIAL}")
        return self

    @property
    def place(self) -> str:
        """Where the device is, for people."""
        if self.simulated:
            return "simulated device"
        if self.host is not None:
            return f"{self.host}:{self.tcp_port}"
        return f"{self.port} ({self.baud} baud, 8{self.parity}{self.stop_bits})"


class ModbusSource(BaseModel):
    """Where a channel stands in the device.

    Attributes:
        register: The address as it is sent, from 0; tables that begin with 30001 or 40001 are one more than
            30000 or 40000 above it.
        function: Which of the device's four tables it is in.
        datatype: What it holds; `bool` for coils and discrete inputs, and else `uint16` unless given.
        scale: The channel is what stands there times this,
        offset: plus this.
        word_order: `little` where the first of several registers is the least significant.
        byte_order: `little` where the first byte of a register is the less significant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    register_: int = Field(alias="register", ge=0, lt=_END)
    function: Function = "holding"
    datatype: Datatype | None = None
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    word_order: Order = "big"
    byte_order: Order = "big"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale 0 makes every value the same; give another")
        if self.function in BITS and self.datatype not in {None, "bool"}:
            raise ValueError(f"a {self.function} is a bool, and no {self.datatype}")
        if self.register_ + size(self.type) > _END:
            raise ValueError(f"register {self.register_}: a {self.type} does not end before {_END}")
        return self

    @property
    def type(self) -> Datatype:
        """What it holds."""
        return self.datatype or ("bool" if self.function in BITS else "uint16")


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """A channel at its registers.

    Attributes:
        channel: Its name.
        kind: Its kind.
        source: Where it stands.
    """

    channel: str
    kind: ReadingKind
    source: ModbusSource

    @property
    def start(self) -> int:
        """Its first register, or its coil."""
        return self.source.register_

    @property
    def end(self) -> int:
        """The register after its last."""
        return self.start + size(self.source.type)

    def shown(self, registers: list[int]) -> Value | None:
        """The channel's value.

        Args:
            registers: What stands in its registers; of a coil 0 or 1.

        Returns:
            The value; None where the device has none, or it is no number that the channel can be.
        """
        source = self.source
        raw = decode(registers, source.type, words=source.word_order, bytes_=source.byte_order)
        if raw is None or isinstance(raw, bool):
            return raw
        # In decimal: 234 times 0.1 is 23.4 then, and not 23.400000000000002.
        number = _exact(raw)
        if self._is_scaled:
            number = number * _exact(source.scale) + _exact(source.offset)
        if self.kind.type == "int":
            return round(number)
        shown = float(number)
        return shown if abs(shown) != float("inf") else None

    def raw(self, value: Value) -> list[int]:
        """What is written for a value.

        Raises:
            ValueError: It does not fit in.
        """
        source = self.source
        if isinstance(value, str) or isinstance(value, bool) != (source.type == "bool"):
            raise ValueError(f"{value!r} is no {source.type}")
        if self._is_scaled and not isinstance(value, bool):
            value = float((_exact(value) - _exact(source.offset)) / _exact(source.scale))
        return encode(value, source.type, words=source.word_order, bytes_=source.byte_order)

    @property
    def _is_scaled(self) -> bool:
        return self.source.scale != 1 or self.source.offset != 0


def bindings(profile: Profile) -> dict[str, Binding]:
    """Every channel at its registers.

    Raises:
        ConfigError: A source is missing or wrong, or does not fit its channel's type.
    """
    kinds = profile.reading_kinds()
    bound = {}
    for channel, source in profile.sources().items():
        where = f"readings.{reading_of(channel)}"
        if not source:
            raise ConfigError(f"driver modbus: {where}.source is missing; give {{ register = 0 }}, and more")
        checked = check_source(ModbusSource, source, f"{where}.source")
        kind = kinds[channel]
        if kind.type == "str" or (kind.type == "bool") != (checked.type == "bool"):
            raise ConfigError(f"driver modbus: {where}: a {checked.type} makes no {kind.type}")
        bound[channel] = Binding(channel=channel, kind=kind, source=checked)
    _check_effects(profile, bound)
    return bound


def _check_effects(profile: Profile, bound: Mapping[str, Binding]) -> None:
    """Every command sets a channel that can be written."""
    fixed = {
        reading_of(channel): binding.source.function
        for channel, binding in bound.items()
        if binding.source.function not in WRITABLE
    }
    for name, command in profile.commands.items():
        if command.effect is None:
            raise ConfigError(
                f"driver modbus: commands.{name}.effect is missing; give the channel that it sets"
            )
        target = command.effect.reading
        if target in fixed:
            raise ConfigError(
                f"driver modbus: commands.{name}.effect: {target} is in the {fixed[target]}"
                " table, which cannot be written; use a coil or a holding register"
            )


def _exact(number: float) -> Decimal:
    return Decimal(repr(number))
