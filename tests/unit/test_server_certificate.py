"""The private authority and its server certificate."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from iotxmpp.server.certificate import Certificates, renewed

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def verify(made: Certificates, folder: Path, host: str) -> None:
    """A handshake in memory, as a client sees it."""
    (folder / "server.crt").write_bytes(made.server)
    (folder / "server.key").write_bytes(made.server_key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.crt", folder / "server.key")
    trusting = ssl.create_default_context(cadata=made.ca.decode())
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=host)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() is not None
    client.do_handshake()


@pytest.mark.parametrize("domain", ["localhost", "iot.example.org", ".".join(["a" * 40] * 4)])
def test_clients_accept_it_for_the_domain_and_its_service(tmp_path: Path, domain: str) -> None:
    made = renewed(None, domain, datetime.now(UTC))
    verify(made, tmp_path, domain)
    verify(made, tmp_path, f"pubsub.{domain}")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for|mismatch"):
        verify(made, tmp_path, "other.org")


def test_good_ones_are_used_again() -> None:
    made = renewed(None, "localhost", NOW)
    assert renewed(made, "localhost", NOW + 300 * DAY) is made


def test_an_expiring_one_is_renewed_by_the_same_authority() -> None:
    made = renewed(None, "localhost", NOW)
    later = renewed(made, "localhost", NOW + 340 * DAY)
    assert later.ca == made.ca
    assert later.server != made.server
    assert x509.load_pem_x509_certificate(later.server).not_valid_after_utc > NOW + 700 * DAY


def test_an_expiring_authority_is_replaced() -> None:
    made = renewed(None, "localhost", NOW)
    later = renewed(made, "localhost", NOW + 3640 * DAY)
    assert later.ca != made.ca


def test_a_server_certificate_never_outlives_its_authority() -> None:
    made = renewed(None, "localhost", NOW)
    late = renewed(made, "localhost", NOW + 3500 * DAY)
    ends = [x509.load_pem_x509_certificate(pem).not_valid_after_utc for pem in (late.ca, late.server)]
    assert late.ca == made.ca
    assert ends[0] == ends[1]


def test_another_domain_gets_another_certificate(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    made = renewed(renewed(None, "localhost", now), "example.org", now)
    verify(made, tmp_path, "example.org")


def test_what_cannot_be_read_is_an_error() -> None:
    broken = Certificates(ca=b"no certificate", ca_key=b"", server=b"", server_key=b"")
    with pytest.raises(ValueError, match="PEM"):
        renewed(broken, "localhost", NOW)
