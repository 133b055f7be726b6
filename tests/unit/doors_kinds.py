"""Types of arguments: values of each, and what fits each, told without pydantic."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field


class Mode(Enum):
    """A choice of words."""

    OFF = "off"
    ON = "on"
    TRUE = "true"


class Level(IntEnum):
    """A choice of numbers."""

    LOW = 0
    HIGH = 1


class Point(BaseModel):
    """A model."""

    model_config = ConfigDict(extra="forbid")

    x: int
    y: float = 0.0


class Path(BaseModel):
    """A model of models."""

    model_config = ConfigDict(extra="forbid")

    name: str
    points: list[Point]
    level: Literal[1, 2] = 1


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of arguments.

    Attributes:
        annotation: How a function says it.
        values: Such values.
        fits: Whether a JSON value may be one, told without pydantic.
        chat: Which of the values a chat message can carry.
    """

    annotation: Any
    values: st.SearchStrategy[Any]
    fits: Callable[[Any], bool]
    chat: Callable[[Any], bool] = lambda _: True


def is_int(value: object) -> bool:
    return type(value) is int


def is_float(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_text(value: object) -> bool:
    return type(value) is str


def one_of(*choices: object) -> Callable[[Any], bool]:
    """JSON's 1.0 is a whole number too; true is none."""
    return lambda value: any(
        value == each and isinstance(value, bool) == isinstance(each, bool) for each in choices
    )


def list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def object_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def is_point(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= {"x", "y"}
        and is_int(value.get("x"))
        and is_float(value.get("y", 0))
    )


def is_path(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= {"name", "points", "level"}
        and is_text(value.get("name"))
        and list_of(is_point)(value.get("points"))
        and one_of(1, 2)(value.get("level", 1))
    )


INTS = st.integers(-(2**70), 2**70)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12
) | (st.sampled_from(["", " ", "true", "null", "1", '"a"', "a'b", "\\", "[]", "a b", "=", "a\nb"]))
POINTS = st.builds(Point, x=INTS, y=FLOATS)

KINDS = {
    "int": Kind(annotation=int, values=INTS, fits=is_int),
    "float": Kind(annotation=float, values=FLOATS, fits=is_float),
    "bool": Kind(annotation=bool, values=st.booleans(), fits=lambda value: type(value) is bool),
    "str": Kind(annotation=str, values=TEXT, fits=is_text),
    "enum": Kind(annotation=Mode, values=st.sampled_from(Mode), fits=one_of("off", "on", "true")),
    "int enum": Kind(annotation=Level, values=st.sampled_from(Level), fits=one_of(0, 1)),
    "literal": Kind(
        annotation=Literal[1, "1", "on"], values=st.sampled_from([1, "1", "on"]), fits=one_of(1, "1", "on")
    ),
    "optional int": Kind(
        annotation=int | None, values=st.none() | INTS, fits=lambda value: value is None or is_int(value)
    ),
    "optional str": Kind(
        annotation=str | None,
        values=st.none() | TEXT,
        fits=lambda value: value is None or is_text(value),
        chat=lambda value: value is not None,
    ),
    "ints": Kind(annotation=list[int], values=st.lists(INTS, max_size=3), fits=list_of(is_int)),
    "texts": Kind(annotation=list[str], values=st.lists(TEXT, max_size=3), fits=list_of(is_text)),
    "choices": Kind(
        annotation=list[Literal[1, 2]],
        values=st.lists(st.sampled_from([1, 2]), max_size=3),
        fits=list_of(one_of(1, 2)),
    ),
    "levels": Kind(
        annotation=dict[str, Level],
        values=st.dictionaries(TEXT, st.sampled_from(Level), max_size=3),
        fits=object_of(one_of(0, 1)),
    ),
    "object": Kind(
        annotation=dict[str, int], values=st.dictionaries(TEXT, INTS, max_size=3), fits=object_of(is_int)
    ),
    "model": Kind(annotation=Point, values=POINTS, fits=is_point),
    "models": Kind(
        annotation=Path,
        values=st.builds(Path, name=TEXT, points=st.lists(POINTS, max_size=3), level=st.sampled_from([1, 2])),
        fits=is_path,
    ),
    "moment": Kind(annotation=datetime, values=st.datetimes(timezones=st.just(UTC)), fits=is_text),
    "day": Kind(annotation=date, values=st.dates(), fits=is_text),
    "span": Kind(
        annotation=timedelta,
        values=st.timedeltas(timedelta(days=-999), timedelta(days=999)),
        fits=is_text,
    ),
    "bounded int": Kind(
        annotation=Annotated[int, Field(ge=1, le=4)],
        values=st.integers(1, 4),
        fits=lambda value: is_int(value) and 1 <= value <= 4,
    ),
    "open float": Kind(
        annotation=Annotated[float, Field(gt=0, lt=1)],
        values=st.floats(0, 1, exclude_min=True, exclude_max=True),
        fits=lambda value: is_float(value) and 0 < value < 1,
    ),
    "short str": Kind(
        annotation=Annotated[str, Field(min_length=1, max_length=3)],
        values=st.text("abc", min_size=1, max_size=3),
        fits=lambda value: is_text(value) and 1 <= len(value) <= 3,
    ),
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | INTS
    | FLOATS
    | TEXT
    | st.sampled_from(["on", "1", 1.0, True]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.sampled_from(["x", "y"]), inner, max_size=3)
    ),
    max_leaves=6,
)
