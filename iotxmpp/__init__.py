"""Device messaging over XMPP PubSub.

A device runs an `Agent`; a `Controller` takes its readings and calls its commands. Each name is loaded when
it is first used: a device never loads what only a controller needs.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotxmpp.about import Channel
    from iotxmpp.account import Account
    from iotxmpp.agent import Agent
    from iotxmpp.controller import Controller, Device
    from iotxmpp.errors import IotxmppError
    from iotxmpp.readings import Reading
    from iotxmpp.serving.progress import progress

    __version__: str

__all__ = [
    "Account",
    "Agent",
    "Channel",
    "Controller",
    "Device",
    "IotxmppError",
    "Reading",
    "__version__",
    "progress",
]

_HOMES = {
    "Account": "iotxmpp.account",
    "Agent": "iotxmpp.agent",
    "Channel": "iotxmpp.about",
    "Controller": "iotxmpp.controller",
    "Device": "iotxmpp.controller",
    "IotxmppError": "iotxmpp.errors",
    "Reading": "iotxmpp.readings",
    "progress": "iotxmpp.serving.progress",
}
_OF_CONTROLLERS = ("Controller", "Device")


if not TYPE_CHECKING:  # type checkers see the names above, and report any other

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return import_module("iotxmpp.version").VERSION
        if name in _HOMES:
            value = getattr(_load(name), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _load(name: str) -> ModuleType:
    if name in _OF_CONTROLLERS:
        return import_module(_HOMES[name])
    from iotxmpp.lean import leanly  # noqa: PLC0415  # importing iotxmpp alone loads nothing

    with leanly():
        return import_module(_HOMES[name])


def __dir__() -> list[str]:
    return sorted(__all__)
