"""TLS: which certificates hold, which ways lead to it, and the errors where there is none."""

import shlex
import ssl
from pathlib import Path

from slixmpp.jid import JID, InvalidJID

from iotxmpp.account import Account
from iotxmpp.errors import CertificateError, ConfigError, ConnectError, SecurityError
from iotxmpp.tables import TableError, read_data

DIRECT_TLS_PORT = 5223
STARTTLS_PORT = 5222

_MOST_BYTES = 1 << 20
_PEM = b"-----BEGIN "
_TRUSTED = "-----BEGIN TRUSTED CERTIFICATE-----"


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
        ConfigError: The account's `ca` cannot be read, or it names a domain that no server can have.
    """
    _check_names(account)
    if account.ca is None:
        return ssl.create_default_context()
    where = f"ca {account.ca}: no certificates can be read from it"
    text = ""
    try:
        text = _certificates(account.ca)
        return ssl.create_default_context(cadata=text)
    except TableError as error:
        raise ConfigError(f"{where}: {'; '.join(error.faults)}") from error
    except ssl.SSLError as error:
        raise ConfigError(f"{where}: {error}; {_advice(account.ca, text)}") from error


def _check_names(account: Account) -> None:
    """Refuses what looks like a domain, and is none by the rules of IDNA (RFC 7622 section 3.2).

    Raises:
        ConfigError: The account, its service or one of its controllers has such a domain.
    """
    named = [("jid", account.jid), ("service", account.service)]
    for key, jid in [*named, *(("controllers", each) for each in account.controllers)]:
        try:
            JID(jid)
        except InvalidJID as error:
            raise ConfigError(f"account {account.jid}: {key}: {jid!r}: {error}; correct it") from error


def _advice(ca: Path, text: str) -> str:
    """What to do about a file that holds PEM, and no certificate that can be read."""
    if _TRUSTED not in text:
        return "give the authority's certificate as PEM"
    plain = ca.with_name(f"{ca.stem}.plain.pem")
    words = " ".join(shlex.quote(str(each)) for each in ("-in", ca, "-out", plain))
    return f"it holds a trusted certificate of OpenSSL; run: openssl x509 {words}, and give that file as `ca`"


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
