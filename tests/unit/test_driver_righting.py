"""What a driver gives is put right: counters go on, calibration goes before the range, names come last."""

from collections.abc import Callable

import pytest

from iotxmpp import Agent
from iotxmpp.agent.calibration import Calibration
from iotxmpp.agent.righting import Totals
from iotxmpp.errors import ConfigError
from tests.unit.agent_house import House, until
from tests.unit.scripted_driver import Pushed, Scripted


def test_a_counter_goes_on_over_restarts() -> None:
    totals = Totals()
    assert [totals.total("rain", value) for value in (5, 7, 7, 2, 3, 0, 1)] == [5, 7, 7, 9, 10, 10, 11]
    assert totals.total("other", 4) == 4
    assert totals.total("rain", -1) == -1
    assert totals.total("rain", "wet") == "wet"
    assert totals.total("rain", 2) == 12


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
