"""Checks on the way to a session: DNS, connection, TLS, login."""

import time
from collections.abc import Callable

from iotxmpp.account import Account
from iotxmpp.addresses import domain
from iotxmpp.doctor.finding import Finding, advice, fault, ok
from iotxmpp.errors import CertificateError, ConnectError, CredentialsError, HostError, SecurityError
from iotxmpp.xmpp.survey import Service, Stream

DAYS_LEFT = 14.0
"""Days before its end from which on a certificate is told."""

_DAY = 86400.0


def dns_findings(account: Account, found: list[Service] | None) -> list[Finding]:
    """What DNS says of where the server is."""
    if account.host is not None:
        return [ok(f"DNS is not asked for the server: the account's file names {account.host}")]
    name = domain(account.jid)
    if found is None:
        why = f"{name} itself is tried at port 5222; `host` in the account's file names another"
        return [advice("DNS was not asked: aiodns is not installed", why, "pip install aiodns")]
    if found:
        places = ", ".join(
            f"{each.host}:{each.port}{' (direct TLS)' if each.direct else ''}" for each in found
        )
        return [ok(f"DNS names the server of {name}: {places}")]
    why = f"without one, {name} itself is tried at port 5222; `host` in the account's file names another"
    records = (
        f"_xmpp-client._tcp.{name}. IN SRV 0 5 5222 HOST.",
        f"_xmpps-client._tcp.{name}. IN SRV 0 5 5223 HOST.",
    )
    return [advice(f"DNS has no SRV record of {name}", why, *records)]


def failure_findings(error: ConnectError, account: Account) -> list[Finding]:
    """Why there is no session."""
    text, name = str(error), domain(account.jid)
    host = f"{account.host or name}:{account.port or 5222}"
    match error:
        case CredentialsError():
            why = "the server is reached, and TLS is right; the account is not"
            return [
                fault(
                    text,
                    why,
                    f"iotxmpp device add {account.name} --force",
                    "edit password in the account's file",
                )
            ]
        case CertificateError():
            look = f"openssl s_client -connect {host} -starttls xmpp -xmpphost {name} </dev/null"
            return [fault(text, "no password was sent", look)]
        case SecurityError():
            return [fault(text, "no password was sent: iotxmpp wants TLS and SCRAM")]
        case HostError():
            return [fault(text, "nothing of the server can be told", f"ping {account.host or name}")]
    return [fault(text)]


def stream_findings(stream: Stream, account: Account, now: Callable[[], float] = time.time) -> list[Finding]:
    """How safe the stream is."""
    found = [ok(f"{account.jid} is logged in, by {', '.join(stream.mechanisms) or 'SCRAM'}")]
    if stream.tls in ("TLSv1.3", "TLSv1.2"):
        found.append(ok(f"{stream.tls} with {stream.cipher}"))
    else:
        why = "old versions of TLS are broken"
        found.append(fault(f"the stream is encrypted by {stream.tls or 'nothing'}", why, "update the server"))
    if stream.expires is None:
        return [*found, advice("the certificate's end is not told", "look at it now and then")]
    days = (stream.expires - now()) / _DAY
    if days < DAYS_LEFT:
        why = "when it ends, no device gets in any more"
        return [
            *found,
            advice(f"the server's certificate ends in {days:.0f} days", why, "sudo certbot renew"),
        ]
    return [*found, ok(f"the server's certificate holds {days:.0f} more days")]
