"""What `iotxmpp profile new` writes: profiles to start from, with the words that explain them."""

import json

from iotxmpp.profiles import Profile

_TOP = """\
#:schema {schema}
# A profile: what a kind of device reads and does. Pins, addresses and rooms of one device are in agent.toml.
# All keys: docs/profiles.md. Check it with: iotxmpp profile check FILE
schema = 1
id = "{id}"
version = "0.1.0"
"""

_HEAD = """\
title = "{title}"
description = "What it is, and what is honestly there."
"""

_READING = """
# What it reads, by name. Units are SenML's, such as Cel, %RH, hPa, W, /100 (percent).
[readings.{name}]
type = "{type}"
{more}quantity = "{quantity}"
every = 30
description = "For people"
{source}# How a simulation behaves: driver.kind = "simulated" in agent.toml.
simulate = {{ {simulate} }}
"""

_SWITCH = """
# What it does, by name. `effect` says which channel a call sets; `lasting` names the argument for how long.
[commands.switch]
description = "Turns it on or off, for a time or until the next switch"
idempotent = true
{effect} = {{ set = "light", to = "on", lasting = "for" }}
args.on = {{ type = "bool", description = "On or off" }}
args.for = {{ type = "float", unit = "s", range = [0.1, 3600], optional = true, title = "How long" }}
"""

_DRIVERS = {
    "gpio": ('kind = "gpio"', "A pin of a Raspberry Pi; `pins` and `active_high` may stand here."),
    "host": ('kind = "host"', "The machine itself: load, memory-used, disk-used, cpu-temperature."),
    "i2c": ('kind = "i2c", chip = "bme280", address = 0x76', "A chip on the I2C bus: bme280 or scd4x."),
    "modbus": (
        'kind = "modbus", baud = 9600, unit = 1',
        "Modbus RTU; the device gives `port`, or `host` for Modbus TCP.",
    ),
    "onewire": ('kind = "onewire"', "A thermometer on the 1-Wire bus, as the kernel shows it."),
    "python": (
        'kind = "python", function = "mymodule:read"',
        "A function of yours; it returns values by channel, such as {'temperature': 21.5}.",
    ),
    "serial": ('kind = "serial"', "A microcontroller that prints temperature=21.5 and such lines."),
    "simulated": ('kind = "simulated"', "No hardware at all."),
}

_SOURCES = {
    "gpio": 'source = {{ device = "LED", pin = 17 }}\n',
    "modbus": 'source = {{ function = "input", register = 1, datatype = "int16", scale = 0.1 }}\n',
}
_CLIMATE = {
    "name": "temperature",
    "type": "float",
    "more": 'unit = "Cel"\nrange = [-40, 85]\n',
    "quantity": "temperature",
    "simulate": 'wave = "daily", mean = 21, swing = 4, noise = 0.2',
}
_LIGHT = {
    "name": "light",
    "type": "bool",
    "more": "on_change = true\n",
    "quantity": "light",
    "simulate": 'wave = "steady", value = false',
}
_LOAD = {
    "name": "load",
    "type": "float",
    "more": "",
    "quantity": "load",
    "simulate": 'wave = "walk", mean = 0.6, swing = 0.5',
}

KINDS = tuple(_DRIVERS)
"""The kinds of drivers that come along."""


def starter(name: str, kind: str, *, schema: str) -> str:
    """A new profile with a driver.

    Args:
        name: Its id.
        kind: Its driver, one of `KINDS` or another's.
        schema: Where the editor finds the JSON Schema.
    """
    choice, words = _DRIVERS.get(kind, (f'kind = "{kind}"', "Its other keys are the driver's settings."))
    reading = {"gpio": _LIGHT, "host": _LOAD}.get(kind, _CLIMATE)
    source = _SOURCES.get(kind, "").format()
    text = _top(name, schema) + _HEAD.format(title=name) + f"# {words}\ndriver = {{ {choice} }}\n"
    text += _READING.format(**reading, source=source)
    return text + (_SWITCH.format(effect="effect") if kind == "gpio" else "")


def extending(name: str, parent: Profile, extends: str, *, schema: str) -> str:
    """A new profile that stands on another, with what it may change as comments.

    Args:
        name: Its id.
        parent: The other.
        extends: What it calls the other.
        schema: Where the editor finds the JSON Schema.
    """
    text = _top(name, schema)
    text += "# All that this file does not say is as it is there.\n"
    text += f'extends = {json.dumps(extends)}\ntitle = "{name}"\n'
    names = [*parent.readings, *parent.commands]
    if names:
        text += f'# What this kind does not have:\n# without = ["{names[0]}"]\n'
    for reading in parent.readings:
        key = reading if reading.replace("-", "").replace("_", "").isalnum() else f'"{reading}"'
        text += f"\n# [readings.{key}]\n# every = 60\n"
    return text


def _top(name: str, schema: str) -> str:
    return _TOP.format(id=name, schema=schema)
