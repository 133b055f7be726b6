"""The controller: takes the readings of devices, follows their presence, and calls their commands."""

from iotxmpp.controller.controller import Controller
from iotxmpp.controller.device import Device
from iotxmpp.controller.rejection import CODES, Code, Rejection
from iotxmpp.controller.store import Store, default_store_url

__all__ = ["CODES", "Code", "Controller", "Device", "Rejection", "Store", "default_store_url"]
