"""The controller: takes the readings of devices, follows their presence, and calls their commands."""

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
