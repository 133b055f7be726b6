"""What docs/hardware.md says of the gpio, onewire and python drivers is what they have."""

import re
import tomllib
from typing import get_args

from pydantic import BaseModel

from iotxmpp.agent import feeding, opening
from iotxmpp.agent.drivers.gpio.bindings import INPUTS, OUTPUTS, POLLED, GpioSettings, GpioSource
from iotxmpp.agent.drivers.host import HostSettings
from iotxmpp.agent.drivers.i2c.driver import I2cSettings
from iotxmpp.agent.drivers.modbus.bindings import ModbusSettings, ModbusSource
from iotxmpp.agent.drivers.onewire import OneWireSettings
from iotxmpp.agent.drivers.python import PythonSettings
from tests.unit.documents import ROOT, TEXTS, section

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


def test_the_figures_are_those_of_the_code() -> None:
    words = " ".join(section(TEXT, "## When hardware fails").split())
    backoff = opening.hardware_backoff()
    assert f"at first {backoff.first:.0f} s at most, later {backoff.longest:.0f} s" in words
    assert f"more than {opening.OPEN_WITHIN:.0f} s to open" in words
    assert (feeding.UNSAID, "once a second, if nobody says it" in words) == (1.0, True)
    assert f"{feeding.BURST} values at once and {feeding.A_SECOND:.0f} a second" in words
