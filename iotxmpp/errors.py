"""Every error that iotxmpp raises: one base, few meanings, the standard library's types where they fit."""


class IotxmppError(Exception):
    """The base of every error of this package.

    Attributes:
        own_lines: Whether line ends in its text are this package's own, and no other side's.
    """

    own_lines = False


class InvalidError(IotxmppError, ValueError):
    """Something that came in breaks its rules; the text says what, where, and what to do."""


class ConfigError(InvalidError):
    """A file, an environment variable or an option of the command line is wrong."""


class ConnectError(IotxmppError, ConnectionError):
    """No session with the server could be made."""


class HostError(ConnectError):
    """The server's host is unknown, unreachable, or refuses the connection."""


class CertificateError(ConnectError):
    """The server's certificate is not trusted, or is another host's."""


class SecurityError(ConnectError):
    """The server offers no TLS, or no SCRAM; nothing secret was sent."""


class CredentialsError(ConnectError, PermissionError):
    """The server refused the account's name or password."""


class LinkDownError(IotxmppError, ConnectionError):
    """The link is down, or went down before the answer: what was asked may or may not have happened."""


class NoAnswerError(IotxmppError, TimeoutError):
    """No answer came in time: what was asked may or may not have happened."""


class StanzaError(IotxmppError):
    """The other side answered with an error (RFC 6120 section 8.3).

    Attributes:
        condition: The defined condition, such as `forbidden`.
        text: What the other side says about it, for people.
        detail: The application's own condition, as `{namespace}name`, or None.
    """

    def __init__(self, condition: str, text: str = "", detail: str | None = None) -> None:
        super().__init__(f"{condition}: {text}" if text else condition)
        self.condition = condition
        self.text = text
        self.detail = detail


class ForbiddenError(StanzaError, PermissionError):
    """The other side does not let this account do that."""


class NotFoundError(StanzaError, LookupError):
    """There is no such node, item, command or account."""


class ConflictError(StanzaError):
    """It exists already."""


class UnreachableError(StanzaError, ConnectionError):
    """The other side is offline, or nothing there serves such a request."""


class StoreError(IotxmppError, OSError):
    """What must be kept cannot be written to, or read from, its store."""


class OutboxFullError(StoreError):
    """The device's outbox is full, and its policy is to keep what it has; the reading was not kept."""


class UnknownDeviceError(IotxmppError, LookupError):
    """The controller knows no device of that id."""


class UnknownChannelError(IotxmppError, LookupError):
    """The device has no channel of that name."""


class CommandError(IotxmppError):
    """A command was not carried out as asked."""


class ArgumentsError(CommandError, ValueError):
    """The arguments do not fit the command's signature; it was not started."""


class UnknownCommandError(CommandError, LookupError):
    """The device has no command of that name."""


class NotAllowedError(CommandError, PermissionError):
    """The device, or the server, does not obey this caller; the command was not started."""


class CommandFailedError(CommandError, RuntimeError):
    """The command was started and failed on the device."""


class CommandUnknownError(CommandError):
    """The command was started, and what became of it is not known; ask the device for what it did."""


class CommandCancelledError(CommandError):
    """The call was cancelled before it was started."""


class CommandExpiredError(CommandError):
    """The call expired before it could start; call again, with more time."""


class CommandConflictError(CommandError, ValueError):
    """The call's id was used before, for another command or other arguments; this call was not started."""


class DeviceAwayError(CommandError, ConnectionError):
    """The device has no session with its server; the command was not sent."""


_BY_CONDITION: dict[str, type[StanzaError]] = {
    "forbidden": ForbiddenError,
    "not-allowed": ForbiddenError,
    "not-authorized": ForbiddenError,
    "registration-required": ForbiddenError,
    "subscription-required": ForbiddenError,
    "item-not-found": NotFoundError,
    "conflict": ConflictError,
    "service-unavailable": UnreachableError,
    "recipient-unavailable": UnreachableError,
    "remote-server-not-found": UnreachableError,
    "remote-server-timeout": UnreachableError,
}


def stanza_error(condition: str, text: str = "", detail: str | None = None) -> StanzaError:
    """The error for a stanza error's condition, in the class that says what it means."""
    return _BY_CONDITION.get(condition, StanzaError)(condition, text, detail)
