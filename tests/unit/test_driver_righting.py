"""What a driver gives is put right: counters go on, calibration goes before the range, names come last."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from iotxmpp import Agent
from iotxmpp.agent.calibration import Calibration
from iotxmpp.agent.righting import Righting, Totals
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import ReadingKind
from tests.unit.agent_house import House, until
from tests.unit.scripted_driver import PROFILE, Pushed, Scripted, problems


def test_a_counter_goes_on_over_restarts() -> None:
    totals = Totals()
    assert [totals.total("rain", value) for value in (5, 7, 7, 2, 3, 0, 1)] == [5, 7, 7, 9, 10, 10, 11]
    assert totals.total("other", 4) == 4
    assert totals.total("rain", -1) == -1
    assert totals.total("rain", "wet") == "wet"
    assert totals.total("rain", 2) == 12


@pytest.mark.parametrize(
    ("read", "counted"),
    [
        ((100.2, 100.1, 100.2, 100.3), [100.2, 100.2, 100.2, 100.3]),  # a dip
        ((500, 0, 501, 502), [500, 500, 501, 502]),  # one reading far below
        ((6, 7, 900_000, 8, 9), [6, 7, 900_000, 8, 9]),  # one far above
        ((6, 7, 900_000, 2, 3), [6, 7, 900_000, 900_002, 900_003]),  # a start from nothing after all
        ((6, 7, 1 << 70_000, 8, float("nan"), 9), [6, 7, 8, 9]),
    ],
)
def test_one_reading_far_off_changes_no_count_for_good(read: tuple[float, ...], counted: list[float]) -> None:
    totals = Totals()
    total = [totals.total("rain", value) for value in read]
    assert [value for value in total if not isinstance(value, str) and 0 <= value < 1 << 63] == counted


@pytest.mark.parametrize("kind", ["int", "float"])
def test_a_count_out_of_the_range_is_not_remembered(kind: str) -> None:
    rain = ReadingKind.model_validate({"type": kind, "counter": True, "range": (0, 1000)})
    right = Righting({"rain": rain}, calibrate=dict, names={})
    number = {"int": int, "float": float}[kind]
    read = (5, 6, 7, 999_999, 999_998, 8, 2, 3, 999, 4)
    total = [right.righted({"rain": number(value)})["rain"] for value in read]
    assert total == [5, 6, 7, 999_999, 999_998, 8, 10, 11, 1007, 12]


class Hostile(int):
    """A number whose own code raises."""

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")

    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __mul__ = __sub__ = __rsub__ = __eq__  # each raises


class Stranger:
    """No number; its own code raises."""

    __hash__ = None  # type: ignore[assignment]  # it cannot be compared either

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")


BAD = [1 << 70_000, [1], object(), Stranger(), Decimal("sNaN")]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: type(bad).__name__)
@pytest.mark.parametrize("kind", [Pushed, Scripted])
async def test_a_bad_count_is_a_problem_of_its_channel_alone(
    agent_of: Callable[..., Agent],
    house: House,
    bad: Any,  # noqa: ANN401  # what a driver may give
    kind: type[Scripted],
) -> None:
    driver = kind()
    driver.values = {"rain": bad, "temperature": 20.0}
    calibration = {"rain": Calibration(scale=2.0), "temperature": Calibration(offset=1.0)}
    agent = agent_of(driver, calibration=calibration)
    async with agent:
        await until(lambda: bool(house.values("temperature")) and len(problems(agent)) == 1)
        assert problems(agent)[0].startswith("rain: ")
        driver.values = {"rain": 3, "temperature": 20.0}
        await until(lambda: house.values("rain")[:1] == [6] and problems(agent) == ())
    assert set(house.values("temperature")) == {21.0}
    assert driver.opened == 1


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: type(bad).__name__)
async def test_a_bad_count_does_not_close_a_driver_that_gives_it(
    agent_of: Callable[..., Agent],
    house: House,
    bad: Any,  # noqa: ANN401  # what a driver may give
) -> None:
    driver = Pushed()
    agent = agent_of(driver, PROFILE.replace("every = 0.02", "every = 60"))
    async with agent:
        driver.push(rain=bad, said="hello")
        await until(lambda: house.values("said") == ["hello"])
        assert len(problems(agent)) == 1
        assert problems(agent)[0].startswith("rain: ")
        driver.push(rain=4)
        await until(lambda: house.values("rain") == [4] and problems(agent) == ())
    assert (driver.opened, driver.closed) == (1, 1)


async def test_a_number_whose_own_code_raises_is_taken_as_a_number(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    driver.values = {"rain": Hostile(3), "temperature": 20.0}
    agent = agent_of(driver, calibration={"rain": Calibration(scale=2.0)})
    async with agent:
        await until(lambda: house.values("rain")[:1] == [6] and bool(house.values("temperature")))
        assert problems(agent) == ()


async def test_calibration_goes_before_the_range_and_names_come_last(
    agent_of: Callable[..., Agent], house: House
) -> None:
    driver = Pushed()
    driver.values = {"temperature": 180.0, "rain": 3}
    agent = agent_of(
        driver,
        rename={"temperature": "air"},
        calibration={"temperature": Calibration(scale=0.1, offset=-1.0), "rain": Calibration(scale=2.0)},
    )
    async with agent:
        await until(lambda: bool(house.values("air")) and bool(house.values("rain")))
        driver.values = {"temperature": 180.0, "rain": 1}
        await until(lambda: house.values("rain")[-1] == 8)
        driver.values = {}
        driver.push(temperature=200.0)
        await until(lambda: house.values("air")[-1] == 19.0)
    assert set(house.values("air")) == {17.0, 19.0}
    assert house.values("rain")[0] == 6
    assert house.values("temperature") == []


def test_a_wrong_calibration_is_refused(agent_of: Callable[..., Agent]) -> None:
    with pytest.raises(ConfigError, match=r"calibration\.temprature"):
        agent_of(Scripted(), calibration={"temprature": Calibration()})
