"""Values, names and times of types derived from the built-in ones: enums, numpy's floats, a user's own."""

import math
from enum import IntEnum, StrEnum
from pathlib import Path

import pytest

from iotxmpp.about import Channel
from iotxmpp.agent.channels import INTEGERS, check_reading
from iotxmpp.agent.outbox.rows import FIRST, LAST
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value
from tests.unit.outbox_house import losses_of, opened, set_aside


class Level(float):
    def __repr__(self) -> str:
        return f"Level({float(self)})"


class Name(StrEnum):
    LEVEL = "level"
    METRE = "m"


class Step(IntEnum):
    TWO = 2


class Big(int):
    def __repr__(self) -> str:
        return "big"


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize("value", [Level(1.5), Step.TWO, Name.LEVEL, Big(7), True])
async def test_a_reading_of_a_derived_type_comes_back_as_it_was(
    tmp_path: Path, value: Value, on_disk: bool
) -> None:
    path = tmp_path / "outbox.db" if on_disk else None
    async with opened(path) as keeper:
        await keeper.keep({Name.LEVEL: (value, Name.METRE)}, Level(1_795_000_000.5))
        (row,) = await keeper.page(FIRST, LAST, 10)
        assert (row.channel, row.unit, row.time, row.value) == ("level", "m", 1_795_000_000.5, value)
        assert {type(row.channel), type(row.time)} == {str, float}
        assert type(row.value) in {bool, int, float, str}
        assert await losses_of(keeper) == []
    assert set_aside(tmp_path) == []


@pytest.mark.parametrize(("kind", "value"), [("float", Level(2.5)), ("int", Step.TWO), ("str", Name.LEVEL)])
def test_a_checked_value_has_a_built_in_type(kind: str, value: Value) -> None:
    channel = Channel.model_validate({"type": kind})
    good = check_reading("level", channel, value)
    assert (good, type(good).__name__) == (value, kind)


def test_a_derived_integer_of_more_than_64_bits_is_refused() -> None:
    with pytest.raises(InvalidError, match="more than 64 bits"):
        check_reading("level", Channel(type="int"), Big(INTEGERS))


def test_a_derived_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidError, match="not a finite number"):
        check_reading("level", Channel(type="float"), Level(math.nan))
