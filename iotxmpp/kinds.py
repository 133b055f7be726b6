"""What profiles are made of: kinds of readings, arguments and commands, and how a simulation behaves."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from iotxmpp.about import ValueType
from iotxmpp.errors import ArgumentsError
from iotxmpp.kindtexts import FreeTable, Role, Text, check_size
from iotxmpp.readings import Value
from iotxmpp.units import unit_fault

MOST_CHANNELS = 500
"""Channels that a profile may have."""

_JSON_TYPES: dict[ValueType, str] = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}
_GREATEST = sys.float_info.max
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_SLOT = re.compile(r"\{(\w+)\}")


def _known_unit(text: str) -> str:
    fault = unit_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not low < high:
        raise ValueError(f"[{low:g}, {high:g}]: the first must be less than the second")
    return bounds


Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
"""A number that can be reckoned with, without ever leaving what a float can hold."""

Deviation = Annotated[float, Field(ge=0, le=1e100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Every = Annotated[float, Field(ge=0.001, le=31_622_400, allow_inf_nan=False)]
"""Seconds between two readings: from a thousandth to a year."""

UnitSymbol = Annotated[str, AfterValidator(_known_unit)]
Range = Annotated[tuple[Amount, Amount], Field(strict=False), AfterValidator(_ordered)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
TypedValue = Annotated[bool | int | Finite | Text, Field(union_mode="smart")]


class Part(BaseModel):
    """A part of a profile: what it does not know is refused, and so is "3" or true where a number stands.

    A list in a file is a tuple here; such a field is not `strict`, and its entries are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Quantity(Part):
    """What values a channel or an argument has.

    Attributes:
        type: Their type.
        unit: Their SenML unit; for numbers only.
        range: The least and the greatest possible value; for numbers only.
        description: For people.
    """

    type: ValueType
    unit: UnitSymbol | None = None
    range: Range | None = None
    description: Text = ""

    @model_validator(mode="after")
    def _numbers_only(self) -> Self:
        for key in ("unit", "range"):
            if self.type in ("bool", "str") and getattr(self, key) is not None:
                raise ValueError(f"{key} is for numbers; remove it, or make type float or int")
        if self.range is not None and None in (typed(bound, self.type) for bound in self.range):
            raise ValueError("range: use whole numbers for type int")
        return self


class Simulate(Part):
    """How a simulated channel behaves; every part has a fitting default.

    Attributes:
        wave: `steady`, `daily` (warmest at 15:00 UTC), `walk` (wanders), `flip` (truth values), or `counter`.
        mean: The middle of the values; a counter's increase per hour.
        swing: The greatest distance from the middle, without noise.
        noise: The greatest random deviation of one value.
        period: Seconds between two turns of a walk, or between two flips.
        share: The part of the time, from 0 to 1, that a flip is true.
        value: What a steady truth value or text is.
        resolution: Values are multiples of it.
        sum_of: The readings that it is the sum of; this and the next three go before `wave`.
        quotient_of: The readings of which it is the first, divided by each of the others.
        above: The reading that its own signal is added to, which is never less than 0 then.
        integral_of: The reading that it adds up over time, since 2025-01-01, without that one's noise.
    """

    wave: Literal["steady", "daily", "walk", "flip", "counter"] | None = None
    mean: Amount | None = None
    swing: Deviation | None = None
    noise: Deviation | None = None
    period: Annotated[float, Field(ge=0.001, le=1e10, allow_inf_nan=False)] | None = None
    share: float = Field(default=0.5, ge=0, le=1)
    value: bool | Text | None = None
    resolution: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01
    sum_of: Names = ()
    quotient_of: Names = ()
    above: str | None = None
    integral_of: str | None = None


class ReadingKind(_Quantity):
    """One channel, or `count` alike, of a kind of device.

    Attributes:
        count: How many there are, as NAME/1 to NAME/count; None for one, as NAME.
        quantity: What is measured, such as `temperature`; any word.
        every: Seconds between readings, unless the device's own settings say otherwise.
        on_change: Whether only changed values are published.
        delta: The change of a number that counts is greater than this, with `on_change`.
        at_least: Seconds after which an unchanged value is published all the same, with `on_change`, unless
            the device's own settings say otherwise.
        counter: Whether it counts up, and starts again at a restart of what counts; the agent goes on from
            the last count then, as long as the agent itself runs.
        source: Where the driver finds it, such as a pin or a register; the driver's own table. With `count`,
            a list of as many entries has one for each, and `{n}` in text stands for the number, from 1.
        simulate: How its simulation behaves.
    """

    count: int | None = Field(default=None, ge=1, le=MOST_CHANNELS)
    quantity: Text = ""
    every: Every | None = None
    on_change: bool = False
    delta: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    at_least: Seconds | None = None
    counter: bool = False
    source: FreeTable = Field(default_factory=dict)
    simulate: Simulate = Simulate()

    @model_validator(mode="after")
    def _on_change_fits(self) -> Self:
        if self.delta is not None and (self.type in ("bool", "str") or not self.on_change):
            raise ValueError("delta is for numbers with on_change = true")
        if self.at_least is not None and not self.on_change:
            raise ValueError("at_least is for readings with on_change = true")
        return self

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        if self.counter and self.type in ("bool", "str"):
            raise ValueError("counter is for numbers; remove it, or make type float or int")
        for key, value in self.source.items():
            if self.count is not None and isinstance(value, list) and len(value) != self.count:
                raise ValueError(
                    f"source.{key}: {len(value)} entries, and count is {self.count};"
                    f" give {self.count}, or one value for all"
                )
        check_size(self.source, has_count=self.count is not None)
        return self

    @model_validator(mode="after")
    def _mean_fits(self) -> Self:
        mean = self.simulate.mean
        if mean is None or self.range is None or self.simulate.wave == "counter":
            return self
        low, high = self.range
        if not low <= mean <= high:
            raise ValueError(
                f"simulate.mean: {mean:g} is outside range, {low:g} to {high:g}; give one within"
            )
        return self

    def source_of(self, number: int) -> dict[str, JsonValue]:
        """Where the driver finds one of several; the whole table where there is one alone.

        Args:
            number: Which of them, from 1 to `count`.
        """
        if self.count is None:
            return dict(self.source)
        return {key: _one_of(value, number) for key, value in self.source.items()}


class Argument(_Quantity):
    """One argument of a command.

    Attributes:
        title: Its label; empty for its name.
        optional: Whether it may be left out.
        default: What it then is.
        choices: The only allowed values; empty for any.
    """

    title: Text = ""
    optional: bool = False
    default: TypedValue | None = None
    choices: Annotated[tuple[TypedValue, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        for choice in self.choices:
            self._check_bounds(choice, "choices")
        if self.default is not None:
            self.checked(self.default, "default")
        return self

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return not self.optional and self.default is None

    def checked(self, value: object, where: str) -> Value:
        """Returns the value in the argument's type.

        Raises:
            ArgumentsError: It has another type, is out of range, or is no choice.
        """
        fitting = self._check_bounds(value, where)
        if self.choices and fitting not in self.choices:
            raise ArgumentsError(f"{where}: {value!r} is none of {', '.join(map(repr, self.choices))}")
        return fitting

    def can_count(self, most: int) -> bool:
        """Whether any of its values is a number from 1 to `most`, written as one."""
        if self.choices:
            return any(_NUMBER.fullmatch(str(each)) and int(each) <= most for each in self.choices)
        if self.type == "int" and self.range is not None:
            low, high = self.range
            return low <= most and high >= 1
        return self.type in ("int", "str")  # a float is written as 1.0

    def schema_of(self) -> dict[str, Any]:
        """It as JSON Schema, with its unit beside."""
        schema: dict[str, Any] = {"type": _JSON_TYPES[self.type]}
        if self.range is not None:
            schema["minimum"], schema["maximum"] = (typed(bound, self.type) for bound in self.range)
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.default is not None:
            schema["default"] = typed(self.default, self.type)
        words = {"title": self.title, "description": self.description, "unit": self.unit}
        return schema | {key: text for key, text in words.items() if text}

    def _check_bounds(self, value: object, where: str) -> Value:
        fitting = typed(value, self.type)
        if fitting is None:
            raise ArgumentsError(f"{where}: {value!r} is no {self.type}")
        if self.range is not None and isinstance(fitting, int | float):
            low, high = self.range
            if not low <= fitting <= high:
                raise ArgumentsError(f"{where}: {value!r} is not in {low:g} to {high:g}")
        return fitting


def _one_of(value: JsonValue, number: int) -> JsonValue:
    if isinstance(value, list):
        return value[number - 1]
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


class Effect(Part):
    """What a command does to a channel: it sets it.

    Attributes:
        set: The channel; `{name}` stands for that argument, as in `relay/{channel}`.
        to: The argument that gives the value; None takes `value`.
        value: The value that is set.
        lasting: The argument that says for how many seconds; None, or left out, for good.
    """

    set: Text
    to: str | None = None
    value: TypedValue = True
    lasting: str | None = None

    def slots(self) -> list[str]:
        """The arguments that stand in the channel's name."""
        return _SLOT.findall(self.set)

    @property
    def reading(self) -> str:
        """The reading that the channel is of."""
        return reading_of(self.set)

    def channel(self, arguments: Mapping[str, Value]) -> str:
        """The channel's name, with these arguments in it."""
        return _SLOT.sub(lambda slot: str(arguments[slot[1]]), self.set)


class CommandKind(Part):
    """One command of a kind of device.

    Attributes:
        title: A few words for people; empty for its name.
        description: For people.
        role: Which role a caller needs at least.
        idempotent: Whether doing it twice is the same as doing it once; the device remembers the calls of the
            others, so that none runs twice.
        steps: The pages of a person's form, each the names of its arguments; empty for one page.
        timeout: Seconds that it takes at most.
        args: Its arguments by name.
        source: Where the driver finds it, such as a register; the driver's own table.
        effect: What it does on the hardware, for drivers that can set channels.
        simulate: What its simulation does; the same as `effect` unless given.
    """

    title: Text = ""
    description: Text = ""
    role: Role = "operator"
    idempotent: bool = False
    steps: Annotated[tuple[Annotated[tuple[str, ...], Field(strict=False)], ...], Field(strict=False)] = ()
    timeout: Seconds = 10.0
    args: dict[str, Argument] = Field(default_factory=dict)
    source: FreeTable = Field(default_factory=dict)
    effect: Effect | None = None
    simulate: Effect | None = None

    @property
    def simulated(self) -> Effect | None:
        """What its simulation does; None for nothing."""
        return self.simulate or self.effect

    def effects(self) -> Iterator[tuple[str, Effect]]:
        """What it does, by the key that says so."""
        for key, effect in (("effect", self.effect), ("simulate", self.simulate)):
            if effect is not None:
                yield key, effect

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        check_size(self.source)
        return self

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        shown = sorted(name for page in self.steps for name in page)
        if self.steps and (shown != sorted(self.args) or not all(self.steps)):
            raise ValueError(
                f"steps: name each argument on one page; there is {', '.join(self.args) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _effects_fit(self) -> Self:
        for key, effect in self.effects():
            self._check_effect(key, effect)
        return self

    def _check_effect(self, key: str, effect: Effect) -> None:
        for name in (*effect.slots(), effect.to, effect.lasting):
            if name is not None and name not in self.args:
                raise ValueError(f"{key}: no argument {name!r}; there is {', '.join(self.args) or 'none'}")
        for name in effect.slots():
            if not self.args[name].required and self.args[name].default is None:
                raise ValueError(f"{key}.set: argument {name!r} may be missing; give it a default")
        if effect.lasting is not None and self.args[effect.lasting].type not in ("float", "int"):
            raise ValueError(f"{key}.lasting: {effect.lasting} is no number of seconds")


def reading_of(channel: str) -> str:
    """The reading that a channel is of: `relay` of `relay/2`, and of one alone its own name."""
    return channel.partition("/")[0]


def typed(value: object, kind: ValueType) -> Value | None:
    """The value in that type; None where it does not fit it."""
    if kind in ("bool", "str"):
        return value if isinstance(value, bool if kind == "bool" else str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -_GREATEST <= value <= _GREATEST:
        return None
    if kind == "float":
        return float(value)
    return int(value) if value == int(value) else None
