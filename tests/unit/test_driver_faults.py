"""Wrong settings and sources of every driver: each told with its key and a fix, in words for people."""

import os
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import BaseModel

from firmware_bridge.binding import CommandSource, SerialSource
from firmware_bridge.settings import FlashSettings, SerialSettings
from iotxmpp.agent import drivers
from iotxmpp.agent.drivers import check_settings, check_source, create_driver
from iotxmpp.agent.drivers.gpio.bindings import GpioSettings, GpioSource
from iotxmpp.agent.drivers.host import HostSettings
from iotxmpp.agent.drivers.i2c.driver import I2cSettings, I2cSource
from iotxmpp.agent.drivers.modbus.bindings import ModbusSettings, ModbusSource
from iotxmpp.agent.drivers.onewire import OneWireSettings, OneWireSource
from iotxmpp.agent.drivers.python import PythonSettings
from iotxmpp.agent.drivers.simulated import SimulatedSettings
from iotxmpp.errors import ConfigError
from iotxmpp.profiles import parse_profile
from iotxmpp.tables import TableError, read_text

INTERNAL = ("constrained", "union", "json-or-python", "Extra inputs", "function-after", "register_", "dict[")

Case = tuple[type[BaseModel], dict[str, object], str]
CASES: list[Case] = [
    (GpioSettings, {"pin": [1]}, "unknown key pin in T: did you mean pins?"),
    (GpioSettings, {"pins": "x"}, "T.pins: Input should be a list or a table"),
    (GpioSettings, {"pins": [17, 27, 22, 99]}, "T.pins[3]: Input should be from 0 to 53, not 99"),
    (GpioSettings, {"pins": {"a": 99}}, "T.pins.a: Input should be from 0 to 53, not 99"),
    (GpioSettings, {"pins": {"a": 1.5}}, "T.pins.a: Input should be a whole number, a list or a table"),
    (GpioSettings, {"close": "on"}, "T.close: Input should be 'off' or 'keep'"),
    (GpioSource, {"device": "LED", "pn": 1}, "unknown key pn in T: did you mean pin?"),
    (GpioSource, {"device": "LED", "pin": []}, "T.pin: Input should be a valid integer"),
    (GpioSource, {"device": "Button", "pin": 1, "pull_up": "up"}, "T.pull_up: Input should be true"),
    (I2cSettings, {"chip": "bme280", "adress": 1}, "unknown key adress in T: did you mean address?"),
    (I2cSettings, {"chip": "bme280", "bus": "one"}, "T.bus: Input should be a valid integer"),
    (I2cSettings, {"chip": "bme280", "address": 1}, "T.address: Input should be from 8 to 119, not 1"),
    (I2cSource, {"valve": "x"}, "unknown key valve in T: did you mean value?"),
    (I2cSource, {"value": 5}, "T.value: Input should be a valid string"),
    (OneWireSettings, {"ids": "x"}, "unknown key ids in T: did you mean id?"),
    (OneWireSettings, {"root": 5}, "T.root: Input should be a path"),
    (OneWireSettings, {"id": ["28-x"]}, "T.id[0]: '28-x': use a thermometer's id"),
    (OneWireSettings, {"id": True}, "T.id: Input should be text, a list or a table"),
    (OneWireSource, {"di": "x"}, "unknown key di in T; known: id"),
    (OneWireSource, {"id": 5}, "T.id: Input should be a valid string"),
    (ModbusSettings, {"port": "a", "bauds": 1}, "unknown key bauds in T: did you mean baud?"),
    (ModbusSettings, {"port": "a", "timeout": "x"}, "T.timeout: Input should be a valid number"),
    (ModbusSettings, {"port": "a", "stop_bits": 3}, "T.stop_bits: Input should be 1 or 2"),
    (ModbusSource, {"regster": 1}, "unknown key regster in T: did you mean register?"),
    (ModbusSource, {"register": "x"}, "T.register: Input should be a valid integer"),
    (ModbusSource, {"register": -1}, "T.register: Input should be greater than or equal to 0, not -1"),
    (PythonSettings, {"funktion": "x"}, "unknown key funktion in T: did you mean function?"),
    (PythonSettings, {"file": 5}, "T.file: Input should be a path"),
    (PythonSettings, {"function": "a b"}, 'use "module:function"'),
    (SerialSettings, {"prot": "x"}, "unknown key prot in T: did you mean port?"),
    (SerialSettings, {"flash": 5}, "T.flash: Input should be a table"),
    (SerialSettings, {"baud": 1}, "T.baud: Input should be from 50 to 4000000, not 1"),
    (FlashSettings, {"tool": "avrdude", "folders": "x"}, "unknown key folders in T: did you mean folder?"),
    (SerialSource, {"nam": "x"}, "unknown key nam in T: did you mean name?"),
    (SerialSource, {"link": "x"}, "T.link: Input should be "),
    (CommandSource, {"name": 5}, "T.name: Input should be a valid string"),
    (HostSettings, {"disc": "/"}, "unknown key disc in T: did you mean disk?"),
    (HostSettings, {"disk": 5}, "T.disk: Input should be a path"),
    (SimulatedSettings, {"sead": "x"}, "unknown key sead in T: did you mean seed?"),
    (SimulatedSettings, {"seed": []}, "T.seed: Input should be a valid string"),
    (SimulatedSettings, {"simulated": False}, "T.simulated: Input should be True"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "table", "words"), CASES)
def test_each_is_told_with_key_and_fix(model: type[BaseModel], table: dict[str, object], words: str) -> None:
    told = {}
    with pytest.raises(ConfigError) as caught:
        check_settings(model, table, "odd")
    told["driver"] = str(caught.value)
    with pytest.raises(ConfigError) as caught:
        check_source(model, table, "readings.x.source")
    told["readings.x.source"] = str(caught.value)
    for place, text in told.items():
        assert words.replace("T.", f"{place}.").replace("in T", f"in {place}") in text
        assert not [word for word in INTERNAL if word in text]
        assert "\n" not in text


class Panic(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.parametrize("error", [RuntimeError("no\nbus"), Panic("no bus"), OSError("no bus")])
def test_a_driver_that_breaks_while_it_is_made_is_named(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise error

    monkeypatch.setattr(drivers, "_factory", lambda _: broken)
    profile = parse_profile('schema = 1\nid = "x"\nversion = "1.0.0"\ndriver.kind = "odd"\n', "x")
    with pytest.raises(
        ConfigError, match=rf"driver 'odd': cannot be made: {type(error).__name__}: no bus \(.*py"
    ):
        create_driver(profile, {})


def test_an_entry_point_that_breaks_is_named_and_a_signal_goes_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[BaseException] = [Panic("no library"), KeyboardInterrupt()]

    def load(_: EntryPoint) -> object:
        raise raised.pop(0)

    monkeypatch.setattr(EntryPoint, "load", load)
    profile = parse_profile('schema = 1\nid = "x"\nversion = "1.0.0"\ndriver.kind = "serial"\n', "x")
    with pytest.raises(ConfigError, match="cannot be loaded: Panic: no library"):
        create_driver(profile, {})
    with pytest.raises(KeyboardInterrupt):
        create_driver(profile, {})


def test_a_byte_order_mark_is_taken_and_a_pipe_is_not(tmp_path: Path) -> None:
    file, pipe = tmp_path / "a.toml", tmp_path / "pipe.toml"
    file.write_bytes(b"\xef\xbb\xbfschema = 1\n")
    assert read_text(file) == "schema = 1\n"
    os.mkfifo(pipe)
    with pytest.raises(TableError, match="no regular file"):
        read_text(pipe)
