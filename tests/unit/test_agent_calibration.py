"""Calibration: what a device's own file puts right."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.agent.calibration import Calibration, calibrator
from iotxmpp.agent.config import load_agent
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import parse_profile
from iotxmpp.readings import Value
from tests.unit.agent_house import open_house, until

PROFILE = """
schema = 1
id = "tank"
version = "1.0.0"
driver = { kind = "simulated" }
[readings.level]
type = "float"
unit = "m"
range = [0, 4]
every = 0.02
simulate = { wave = "steady", mean = 3, noise = 0 }
[readings.pulses]
type = "int"
count = 2
every = 0.02
simulate = { wave = "steady", mean = 10, noise = 0 }
[readings.full]
type = "bool"
every = 0.02
simulate = { wave = "steady", value = true }
"""
TANK = parse_profile(PROFILE, "tank")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    account = tmp_path / "tank.account.toml"
    account.write_text(
        'jid = "greenhouse@example.org"\npassword = "secret"\ncontrollers = ["house@example.org"]\n'
    )
    account.chmod(0o600)
    (tmp_path / "tank.toml").write_text(PROFILE)
    return tmp_path / "agent.toml"


def write(file: Path, text: str) -> Path:
    file.write_text(f'account = "tank.account.toml"\nprofile = "tank.toml"\n{text}')
    return file


def test_a_value_is_scaled_and_then_shifted() -> None:
    assert Calibration(scale=2, offset=-0.5).true(3, "float") == 5.5
    assert Calibration(offset=1).true(3, "float") == 4
    assert Calibration(scale=1.25).true(3, "int") == 4
    assert isinstance(Calibration(scale=1.25).true(3, "int"), int)


@pytest.mark.parametrize("shown", [True, "n/a"])
def test_what_is_no_number_is_left_to_the_check_of_values(shown: Value) -> None:
    assert Calibration(offset=1).true(shown, "float") is shown


@given(st.integers() | st.floats() | st.just(10**400) | st.just(-(10**400)))
def test_any_number_gives_a_number(shown: float) -> None:
    for kind in ("float", "int"):
        true = Calibration(scale=1e300, offset=-1e300).true(shown, kind)
        assert isinstance(true, int | float)
        if isinstance(shown, int) and abs(shown) > 10**308:
            assert math.isinf(true)


def test_a_readings_name_stands_for_all_of_its_channels_and_a_channels_own_goes_first() -> None:
    calibrated = calibrator(TANK, {"pulses": Calibration(scale=2), "pulses/2": Calibration(offset=1)})
    values: dict[str, Value] = {"level": 3.0, "pulses/1": 10, "pulses/2": 10, "full": True, "other": "x"}
    assert calibrated(values) == {"level": 3.0, "pulses/1": 20, "pulses/2": 11, "full": True, "other": "x"}
    turned = calibrator(TANK, {"pulses/2": Calibration(offset=1), "pulses": Calibration(scale=2)})
    assert turned(values) == calibrated(values)
    assert calibrator(TANK, {})(values) == values


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[calibration.levl]\noffset = 1",
            "calibration.levl: profile tank has no such channel: did you mean level?",
        ),
        ("[calibration.full]\noffset = 1", "calibration.full: it is bool; only numbers are calibrated"),
        ("[calibration.level]\nofset = 1", "unknown key ofset in calibration.level: did you mean offset?"),
        ("[calibration.level]\nscale = 0", "calibration.level.scale: 0 makes all values alike"),
        ("[calibration.level]\noffset = nan", "calibration.level.offset: Input should be a finite number"),
        ("[calibration.level]\noffset = '1 m'", "calibration.level.offset: "),
        ("calibraton.level.offset = 1", "unknown key calibraton: did you mean calibration?"),
        ("room = 5", "room: Input should be a valid string"),
        ("[outbox]\nbytess = 5", "unknown key bytess in outbox: did you mean bytes?"),
    ],
)
def test_a_wrong_calibration_is_told_with_its_key(file: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_agent(write(file, text))
    assert fault in str(caught.value)
    assert str(caught.value).startswith(f"agent file {file}: ")


async def test_an_agent_publishes_true_values_under_its_own_names(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    text = (
        'room = "cellar"\nsite = "north"\nrename.level = "water"\n'
        "[calibration.level]\nscale = 1.1\noffset = -0.3\n"
    )
    async with open_house() as house:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
        async with load_agent(write(file, text)) as agent:
            await until(lambda: bool(house.values("water")))
            assert house.values("water")[0] == pytest.approx(3.0)
            assert (agent.about.site, agent.about.room) == ("north", "cellar")


async def test_the_range_is_that_of_true_values(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    async with open_house() as house:
        monkeypatch.setattr("iotxmpp.agent.agent.open_link", house.server.link)
        async with load_agent(write(file, "[calibration.level]\noffset = 2\n")) as agent:
            await until(lambda: bool(agent.status.problems) and bool(house.values("full")))
            assert "level" in agent.status.problems[0]
            assert house.values("level") == []
