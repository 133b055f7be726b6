"""The controller: takes the readings of devices, follows their presence, and calls their commands.

Each name is loaded when it is first used: who only calls a command needs neither metrics nor a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotxmpp.controller.controller import Controller
    from iotxmpp.controller.device import Device
    from iotxmpp.controller.rejection import CODES, Code, Rejection
    from iotxmpp.controller.store import Retention, Store, default_store_url
    from iotxmpp.liveness import Change, State

__all__ = [
    "CODES",
    "Change",
    "Code",
    "Controller",
    "Device",
    "Rejection",
    "Retention",
    "State",
    "Store",
    "default_store_url",
]

_HOMES = {
    "CODES": "iotxmpp.controller.rejection",
    "Change": "iotxmpp.liveness",
    "Code": "iotxmpp.controller.rejection",
    "Controller": "iotxmpp.controller.controller",
    "Device": "iotxmpp.controller.device",
    "Rejection": "iotxmpp.controller.rejection",
    "Retention": "iotxmpp.controller.store",
    "State": "iotxmpp.liveness",
    "Store": "iotxmpp.controller.store",
    "default_store_url": "iotxmpp.controller.store",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
