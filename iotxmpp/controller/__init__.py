"""The controller: takes the readings of devices, follows their presence, and calls their commands.

Each name is loaded when it is first used: who only calls a command needs neither metrics nor a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotxmpp.controller.controller import Controller
    from iotxmpp.controller.device import Device
    from iotxmpp.controller.rejection import CODES, Code, Rejection
    from iotxmpp.controller.store import Store, default_store_url

__all__ = ["CODES", "Code", "Controller", "Device", "Rejection", "Store", "default_store_url"]

_HOMES = {
    "CODES": "rejection",
    "Code": "rejection",
    "Controller": "controller",
    "Device": "device",
    "Rejection": "rejection",
    "Store": "store",
    "default_store_url": "store",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
