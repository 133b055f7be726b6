"""A private XMPP server for trying, testing and single machines: Prosody or ejabberd, on loopback."""

from iotxmpp.server.errors import (
    PortTakenError,
    ServerDirectoryError,
    ServerMissingError,
    ServerStartError,
)
from iotxmpp.server.process import ServerProcess
from iotxmpp.server.programs import install_hint, installed
from iotxmpp.server.spec import ServerKind, ServerSpec

__all__ = [
    "PortTakenError",
    "ServerDirectoryError",
    "ServerKind",
    "ServerMissingError",
    "ServerProcess",
    "ServerSpec",
    "ServerStartError",
    "install_hint",
    "installed",
]
