"""The modbus driver's settings and sources: named by the documents, and told when they are wrong."""

import re

import pytest

from device_profiles import load
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.drivers.modbus import ModbusDriver
from iotxmpp.agent.drivers.modbus.bindings import ModbusSettings, ModbusSource
from iotxmpp.errors import ConfigError
from tests.unit.documents import TEXTS, section
from tests.unit.modbus_house import HEAD, ONE, profile


def test_the_documents_name_every_setting_and_every_key() -> None:
    (page,) = [text for text in TEXTS.values() if "\n## Modbus\n" in text]
    cells = " ".join(re.findall(r"^\| (`[^|]*)\|", section(page, "## Modbus"), re.MULTILINE))
    keys = {field.alias or name for name, field in ModbusSource.model_fields.items()}
    assert set(re.findall(r"`(\w+)`", cells)) == {*ModbusSettings.model_fields, *keys}


def test_the_driver_is_found_by_its_kind() -> None:
    assert isinstance(create_driver(load("sdm120"), {"port": "/dev/ttyUSB0"}), ModbusDriver)


@pytest.mark.parametrize(
    ("text", "given_", "words"),
    [
        (ONE, {}, r'where is it\? Give port = "/dev/ttyUSB0" .* or host'),
        (ONE, {"port": "a", "host": "b"}, "port and host: give one"),
        (ONE, {"port": "a", "unit": 0}, "unit 0: on a serial line from 1 to 247"),
        (ONE, {"port": "a", "parity": "none"}, "parity: .*'N', 'E' or 'O'"),
        (ONE, {"port": "a", "speed": 9600}, "unknown key speed in driver: did you mean seed"),
        (HEAD + '[readings.x]\ntype="float"\n', {"port": "a"}, r"readings\.x\.source is missing"),
        (
            ONE.replace("register", "registre"),
            {"port": "a"},
            r"readings\.x\.source\.register: missing",
        ),
        (ONE.replace("register=0", "register=65536"), {"port": "a"}, r"readings\.x\.source\.register: "),
        (
            ONE.replace("register=0", "scale=0,register=0"),
            {"port": "a"},
            "scale 0 makes every value the same",
        ),
        (ONE.replace("int16", "float16"), {"port": "a"}, r"readings\.x\.source\.datatype: "),
        (
            ONE.replace('register=0, datatype="int16"', 'register=65535, datatype="int32"'),
            {"port": "a"},
            "a int32 does not end before 65536",
        ),
        (
            ONE.replace("register=0", 'register=0, function="coil"'),
            {"port": "a"},
            "a coil is a bool, and no int16",
        ),
        (ONE.replace('type="float"', 'type="bool"'), {"port": "a"}, "a int16 makes no bool"),
        (ONE.replace('type="float"', 'type="str"'), {"port": "a"}, "a int16 makes no str"),
        (ONE + "[commands.reset]\n", {"port": "a"}, r"commands\.reset\.effect is missing"),
        (
            ONE.replace("register=0", 'register=0, function="input"')
            + '[commands.heat]\neffect={set="x", value=1.0}\n',
            {"port": "a"},
            r"commands\.heat\.effect: x is in the input table, which cannot be written",
        ),
    ],
)
def test_settings_and_sources_that_are_wrong_are_told(
    text: str, given_: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ModbusDriver(profile=profile(text), settings=given_)
