"""A TLS handshake that a network cuts short is tried again; one that cannot be agreed on is not."""

import ssl

import pytest
from pydantic import SecretStr

from iotxmpp import Account
from iotxmpp.errors import HostError, SecurityError
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.negotiation import Attempt


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("TLSV1_ALERT_DECODE_ERROR", HostError),
        ("UNEXPECTED_EOF_WHILE_READING", HostError),
        ("TLSV1_ALERT_PROTOCOL_VERSION", SecurityError),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", SecurityError),
    ],
)
async def test_a_handshake_that_was_disturbed_is_tried_again(reason: str, kind: type[Exception]) -> None:
    account = Account(jid="greenhouse@example.org", password=SecretStr("secret"), host="127.0.0.1")
    error = ssl.SSLError(1, reason)
    error.reason = reason
    found = Attempt(StrictClient(account, resource=None), account)._tls_error(error)
    assert type(found) is kind
    assert reason in str(found)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (ConnectionResetError(), "ConnectionResetError"),
        (ConnectionResetError(104, "Connection reset by peer"), "[Errno 104] Connection reset by peer"),
        ("ended by us", "ended by us"),
        (None, "no reason given"),
    ],
)
async def test_a_cut_connection_always_has_a_reason(reason: object, told: str) -> None:
    account = Account(jid="greenhouse@example.org", password=SecretStr("secret"), host="127.0.0.1")
    attempt = Attempt(StrictClient(account, resource=None), account)
    attempt._cut(reason)
    with pytest.raises(HostError) as caught:
        await attempt._done
    assert str(caught.value) == f"127.0.0.1:5222 ended the connection: {told}"
