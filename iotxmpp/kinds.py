"""What profiles are made of: kinds of readings, arguments and commands, and how a simulation behaves."""

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from iotxmpp.about import ValueType
from iotxmpp.errors import ArgumentsError
from iotxmpp.readings import Value
from iotxmpp.units import unit_fault

_JSON_TYPES: dict[ValueType, str] = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}
_GREATEST = sys.float_info.max
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
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
UnitSymbol = Annotated[str, AfterValidator(_known_unit)]
Range = Annotated[tuple[Finite, Finite], AfterValidator(_ordered)]
TypedValue = Annotated[bool | int | Finite | str, Field(union_mode="smart")]


class Part(BaseModel):
    """A part of a profile: what it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    description: str = ""

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
    """

    wave: Literal["steady", "daily", "walk", "flip", "counter"] | None = None
    mean: Finite | None = None
    swing: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    period: Seconds | None = None
    share: float = Field(default=0.5, ge=0, le=1)
    value: bool | str | None = None
    resolution: Seconds = 0.01


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
        simulate: How its simulation behaves.
    """

    count: int | None = Field(default=None, ge=1, le=1000)
    quantity: str = ""
    every: Seconds | None = None
    on_change: bool = False
    delta: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    at_least: Seconds | None = None
    simulate: Simulate = Simulate()

    @model_validator(mode="after")
    def _on_change_fits(self) -> Self:
        if self.delta is not None and (self.type in ("bool", "str") or not self.on_change):
            raise ValueError("delta is for numbers with on_change = true")
        if self.at_least is not None and not self.on_change:
            raise ValueError("at_least is for readings with on_change = true")
        return self


class Argument(_Quantity):
    """One argument of a command.

    Attributes:
        title: Its label; empty for its name.
        optional: Whether it may be left out.
        default: What it then is.
        choices: The only allowed values; empty for any.
    """

    title: str = ""
    optional: bool = False
    default: TypedValue | None = None
    choices: tuple[TypedValue, ...] = ()

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


class Effect(Part):
    """What a simulated command does: it sets a channel.

    Attributes:
        set: The channel; `{name}` stands for that argument, as in `relay/{channel}`.
        to: The argument that gives the value; None takes `value`.
        value: The value that is set.
        lasting: The argument that says for how many seconds; None, or left out, for good.
    """

    set: str
    to: str | None = None
    value: TypedValue = True
    lasting: str | None = None

    def slots(self) -> list[str]:
        """The arguments that stand in the channel's name."""
        return _SLOT.findall(self.set)

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
        simulate: What its simulation does; None for nothing.
    """

    title: str = ""
    description: str = ""
    role: Annotated[str, Field(min_length=1)] = "operator"
    idempotent: bool = False
    steps: tuple[tuple[str, ...], ...] = ()
    timeout: Seconds = 10.0
    args: dict[str, Argument] = Field(default_factory=dict)
    simulate: Effect | None = None

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        shown = sorted(name for page in self.steps for name in page)
        if self.steps and (shown != sorted(self.args) or not all(self.steps)):
            raise ValueError(
                f"steps: name each argument on one page; there is {', '.join(self.args) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _effect_fits(self) -> Self:
        effect = self.simulate
        if effect is None:
            return self
        for name in (*effect.slots(), effect.to, effect.lasting):
            if name is not None and name not in self.args:
                raise ValueError(f"simulate: no argument {name!r}; there is {', '.join(self.args) or 'none'}")
        for name in effect.slots():
            if not self.args[name].required and self.args[name].default is None:
                raise ValueError(f"simulate.set: argument {name!r} may be missing; give it a default")
        return self


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
