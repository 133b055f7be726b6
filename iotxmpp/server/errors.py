"""Why a private server did not start."""

from iotxmpp.errors import IotxmppError


class ServerStartError(IotxmppError):
    """The server did not start; the text says what failed, with the last lines of its log."""

    own_lines = True


class ServerMissingError(ServerStartError):
    """The server's program is not installed; the text says how to install it."""


class ServerDirectoryError(ServerStartError):
    """The directory cannot be used; the text says which folder is wrong and what to do."""


class PortTakenError(ServerStartError):
    """Something else listens on the port."""
