"""What a handler of readings wants: whole readings, plain values, or a model of one sample."""

import logging
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from inspect import Parameter
from typing import Protocol, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from iotxmpp.errors import InvalidError
from iotxmpp.readings import Reading, Value

log = logging.getLogger(__name__)

_PLAIN = (float, int, bool, str)


class Want(Protocol):
    """Cuts accepted readings of a pack into calls."""

    def parts(self, readings: Sequence[Reading]) -> Iterable[tuple[Reading, ...]]:
        """The readings of each call."""

    def argument(self, part: tuple[Reading, ...]) -> object:
        """The first argument of a call; raises pydantic's `ValidationError` where a model refuses."""


def want_of(parameter: Parameter, handler: str, channels: frozenset[str]) -> Want:
    """What the first parameter's annotation asks for.

    Args:
        parameter: The first parameter.
        handler: The handler's name.
        channels: The channels that it is for; empty for all.

    Raises:
        InvalidError: The annotation is missing, or cannot be served.
    """
    annotation = parameter.annotation
    where = f"handler {handler}: parameter {parameter.name}"
    if annotation is Reading:
        return WholeReading()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ModelSample(model=annotation, keys=_keys(annotation, where))
    union = get_origin(annotation) in (Union, types.UnionType)
    plain = get_args(annotation) if union else (annotation,)
    if all(each in _PLAIN for each in plain):
        return PlainValue(handler=handler, kinds=frozenset(plain), named=bool(channels))
    raise InvalidError(f"{where}: annotate it as Reading, float, int, bool, str, or a pydantic model")


class WholeReading:
    """One call a reading, with the reading."""

    def parts(self, readings: Sequence[Reading]) -> Iterable[tuple[Reading, ...]]:
        """Each reading by itself."""
        return ((reading,) for reading in readings)

    def argument(self, part: tuple[Reading, ...]) -> Reading:
        """The reading."""
        return part[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainValue:
    """One call a reading whose value is of an asked type; a whole number is a fine `float`.

    Attributes:
        handler: The handler's name.
        kinds: The types.
        named: The handler names its channels, so that a value of another type is a mistake, told once.
    """

    handler: str
    kinds: frozenset[type]
    named: bool
    _told: set[str] = field(default_factory=set, init=False)

    def parts(self, readings: Sequence[Reading]) -> Iterable[tuple[Reading, ...]]:
        """Each reading of a fitting type by itself."""
        for reading in readings:
            if self._fits(reading.value):
                yield (reading,)
            elif self.named and reading.channel not in self._told:
                self._told.add(reading.channel)
                kind = type(reading.value).__name__
                log.warning(
                    "handler %s: channel %s gives %s: not called", self.handler, reading.channel, kind
                )

    def argument(self, part: tuple[Reading, ...]) -> Value:
        """The value."""
        value = part[0].value
        return value if type(value) in self.kinds else float(value)

    def _fits(self, value: Value) -> bool:
        return type(value) in self.kinds or (type(value) is int and float in self.kinds)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSample:
    """One call a sample, with a model of its values: readings of one pack and one time.

    Attributes:
        model: The model.
        keys: For each channel that a field is named after, by name or alias: the field, and how the model
            wants it called.
    """

    model: type[BaseModel]
    keys: dict[str, tuple[str, str]]

    def parts(self, readings: Sequence[Reading]) -> Iterable[tuple[Reading, ...]]:
        """Each sample that has at least one field and every required one."""
        samples: dict[float, list[Reading]] = {}
        for reading in readings:
            if reading.channel in self.keys:
                samples.setdefault(reading.time, []).append(reading)
        required = {name for name, info in self.model.model_fields.items() if info.is_required()}
        for sample in samples.values():
            if required <= {self.keys[reading.channel][0] for reading in sample}:
                yield tuple(sample)

    def argument(self, part: tuple[Reading, ...]) -> BaseModel:
        """The model, validated."""
        return self.model.model_validate({self.keys[each.channel][1]: each.value for each in part})


def _keys(model: type[BaseModel], where: str) -> dict[str, tuple[str, str]]:
    config = model.model_config
    by_name = bool(config.get("populate_by_name") or config.get("validate_by_name"))
    keys: dict[str, tuple[str, str]] = {}
    for name, info in model.model_fields.items():
        aliases = _aliases(info, f"{where}: field {name}")
        called = name if by_name or not aliases else aliases[0]
        for channel in (name, *aliases):
            keys[channel] = (name, channel if channel in aliases else called)
    if not keys:
        raise InvalidError(f"{where}: model {model.__name__} has no fields")
    return keys


def _aliases(info: FieldInfo, where: str) -> list[str]:
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [] if alias is None else [alias]
    names = [choice for choice in choices if isinstance(choice, str)]
    if len(names) < len(choices):
        raise InvalidError(f"{where}: an AliasPath names no channel; use an alias that is text")
    return names
