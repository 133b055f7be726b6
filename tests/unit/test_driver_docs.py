"""What docs/hardware.md says of the gpio, onewire and python drivers is what they have."""

import re
import tomllib
from typing import get_args

from pydantic import BaseModel

from device_profiles import names
from iotxmpp.agent import feeding, opening
from iotxmpp.agent.drivers.gpio.bindings import INPUTS, OUTPUTS, POLLED, GpioSettings, GpioSource
from iotxmpp.agent.drivers.host import HostSettings
from iotxmpp.agent.drivers.i2c.driver import I2cSettings
from iotxmpp.agent.drivers.modbus.bindings import ModbusSettings, ModbusSource
from iotxmpp.agent.drivers.onewire import OneWireSettings
from iotxmpp.agent.drivers.python import PythonSettings
from iotxmpp.doctor.pins import NEWEST_WITH_WHEEL
from tests.unit.documents import ROOT, TEXTS, blocks, section

TEXT = TEXTS["docs/hardware.md"]


def first_cells(part: str) -> set[str]:
    """The names in code in the first cells of a section's tables."""
    return {
        name
        for line in part.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }


def fields(*models: type[BaseModel]) -> set[str]:
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def test_every_device_key_and_setting_of_the_gpio_driver_is_told() -> None:
    told = first_cells(section(TEXT, "## GPIO"))
    assert told == INPUTS | OUTPUTS | POLLED | fields(GpioSettings, GpioSource)


def test_every_setting_of_the_others_is_told() -> None:
    assert first_cells(section(TEXT, "## 1-Wire")) == fields(OneWireSettings)
    assert first_cells(section(TEXT, "## Your own function")) == fields(PythonSettings)
    assert first_cells(section(TEXT, "## This machine")) == fields(HostSettings)
    chips = {*get_args(I2cSettings.model_fields["chip"].annotation)}
    assert first_cells(section(TEXT, "## I2C")) == fields(I2cSettings) | chips
    assert first_cells(section(TEXT, "## Modbus")) == fields(ModbusSettings, ModbusSource)


def test_every_driver_is_told() -> None:
    linked = re.findall(r"^\| \[?`(\w+)`", section(TEXT, "## Which driver"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(linked[1:]) == sorted(project["entry-points"]["iotxmpp.drivers"])


def test_an_agents_file_names_a_profile_that_is_there() -> None:
    for block in blocks("toml"):
        if block.marker == "agent":
            name = tomllib.loads(block.text)["profile"]
            is_file = name.endswith(".toml")
            assert is_file != (name.removesuffix(".toml") in names()), f"{block}: {name}"


def test_no_command_line_installs_iotxmpp_from_an_index() -> None:
    for block in blocks("sh"):
        assert not re.search(r"pip install '?iotxmpp", block.text), str(block)
    assert "pip install '.[pi]'" in section(TEXT, "## Five minutes")


def test_where_lgpio_comes_from_is_what_the_doctor_says() -> None:
    assert NEWEST_WITH_WHEEL == (3, 12)
    for name in ("docs/doctor.md", "docs/install.md", "docs/hardware.md"):
        assert re.search(r"Python 3\.11 (and|or) 3\.12", " ".join(TEXTS[name].split())), name


def test_the_figures_are_those_of_the_code() -> None:
    words = " ".join(section(TEXT, "## When hardware fails").split())
    backoff = opening.hardware_backoff()
    assert f"at first {backoff.first:.0f} s at most, later {backoff.longest:.0f} s" in words
    assert f"more than {opening.OPEN_WITHIN:.0f} s to open" in words
    assert (feeding.UNSAID, "once a second, if nobody says it" in words) == (1.0, True)
    assert f"{feeding.BURST} values at once and {feeding.A_SECOND:.0f} a second" in words
