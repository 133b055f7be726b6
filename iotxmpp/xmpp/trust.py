"""TLS: which certificates hold, which ways lead to it, and the errors where there is none."""

import ssl
from pathlib import Path

from iotxmpp.account import Account
from iotxmpp.errors import CertificateError, ConfigError, ConnectError, SecurityError
from iotxmpp.tables import TableError, read_data

DIRECT_TLS_PORT = 5223
STARTTLS_PORT = 5222

_MOST_BYTES = 1 << 20
_PEM = b"-----BEGIN "


def tls_error(host: str, error: Exception) -> ConnectError:
    """The error for TLS that was not agreed on."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return SecurityError(f"{host}: TLS failed: {getattr(error, 'reason', None) or error}")
    return CertificateError(
        f"the certificate of {host} is not trusted: {error.verify_message or error}."
        " If it is your own server, give its certificate authority as `ca` in the account file"
    )


def tls_context(account: Account) -> ssl.SSLContext:
    """What verifies the server's certificate and name.

    Raises:
        ConfigError: The account's `ca` cannot be read.
    """
    if account.ca is None:
        return ssl.create_default_context()
    where = f"ca {account.ca}: no certificates can be read from it"
    try:
        return ssl.create_default_context(cadata=_certificates(account.ca))
    except TableError as error:
        raise ConfigError(f"{where}: {'; '.join(error.faults)}") from error
    except ssl.SSLError as error:
        raise ConfigError(f"{where}: {error}; give the authority's certificate as PEM") from error


def _certificates(path: Path) -> str:
    """The text of a file of certificates; what is not ASCII is no part of one.

    Raises:
        TableError: It cannot be read, or has none.
    """
    data = read_data(path, most=_MOST_BYTES)
    if _PEM not in data:  # and ssl would take the system's for an empty text
        raise TableError(str(path), ["it holds none as PEM; give the authority's certificate as PEM"])
    return data.decode("ascii", "ignore")


def tls_ways(account: Account) -> tuple[bool, bool]:
    """Whether to try direct TLS (XEP-0368), and whether STARTTLS."""
    if account.tls == "auto" and account.host is not None:
        direct = account.port == DIRECT_TLS_PORT
        return direct, not direct
    return account.tls in ("auto", "direct"), account.tls in ("auto", "starttls")


def default_port(account: Account) -> int:
    """The port where the account gives a host alone."""
    return DIRECT_TLS_PORT if account.tls == "direct" else STARTTLS_PORT
