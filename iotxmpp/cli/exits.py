"""Exit codes that scripts can use; `docs/cli.md` lists them."""

from enum import IntEnum

from iotxmpp import errors


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    CREDENTIALS = 4
    INSECURE = 5
    NOT_FOUND = 6
    NOT_ALLOWED = 7
    AWAY = 8
    UNKNOWN_OUTCOME = 9


_BY_ERROR: tuple[tuple[type[errors.IotxmppError], Exit], ...] = (
    (errors.CredentialsError, Exit.CREDENTIALS),
    (errors.CertificateError, Exit.INSECURE),
    (errors.SecurityError, Exit.INSECURE),
    (errors.ConnectError, Exit.UNREACHABLE),
    (errors.LinkDownError, Exit.UNKNOWN_OUTCOME),
    (errors.NoAnswerError, Exit.UNKNOWN_OUTCOME),
    (errors.CommandUnknownError, Exit.UNKNOWN_OUTCOME),
    (errors.DeviceAwayError, Exit.AWAY),
    (errors.UnknownDeviceError, Exit.NOT_FOUND),
    (errors.UnknownChannelError, Exit.NOT_FOUND),
    (errors.UnknownCommandError, Exit.NOT_FOUND),
    (errors.NotFoundError, Exit.NOT_FOUND),
    (errors.NotAllowedError, Exit.NOT_ALLOWED),
    (errors.ForbiddenError, Exit.NOT_ALLOWED),
    (errors.ArgumentsError, Exit.USAGE),
    (errors.InvalidError, Exit.USAGE),
)


def exit_code(error: errors.IotxmppError) -> Exit:
    """The exit code that says what kind of error it was."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)
