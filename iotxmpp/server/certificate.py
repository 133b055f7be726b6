"""A private certificate authority for one domain, and the server's certificate from it (P-256)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificates:
    """PEM texts.

    Attributes:
        ca: The authority's certificate, for clients to trust.
        ca_key: Its key.
        server: The server's certificate.
        server_key: Its key.
    """

    ca: bytes
    ca_key: bytes
    server: bytes
    server_key: bytes


def renewed(current: Certificates | None, domain: str, now: datetime) -> Certificates:
    """The same certificates while they are good for another month, else new ones.

    The authority stays as long as it can, for its one domain: clients that trust it need nothing new.

    Args:
        current: What there is; None at first.
        domain: The server's domain; the certificate also names its PubSub service.
        now: The time, with its zone.

    Raises:
        ValueError: What there is cannot be read.
    """
    if current is None or not _good(current.ca, now) or _names(current.server) != _wanted(domain):
        return _with_server(*_new_authority(domain, now), domain, now)
    if _good(current.server, now):
        return current
    return _with_server(current.ca, current.ca_key, domain, now)


def _good(certificate: bytes, now: datetime) -> bool:
    parsed = x509.load_pem_x509_certificate(certificate)
    return parsed.not_valid_before_utc <= now < parsed.not_valid_after_utc - _RENEW_BEFORE


def _wanted(domain: str) -> list[str]:
    return [domain, f"pubsub.{domain}"]


def _names(certificate: bytes) -> list[str]:
    parsed = x509.load_pem_x509_certificate(certificate)
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.DNSName)


def _new_authority(domain: str, now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("iotxmpp private authority")
    builder = (
        _builder(key.public_key(), name, name, now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=[x509.DNSName(domain)], excluded_subtrees=None),
            critical=True,
        )
    )
    return _pem(builder.sign(key, hashes.SHA256())), _key_pem(key)


def _with_server(ca: bytes, ca_key: bytes, domain: str, now: datetime) -> Certificates:
    authority = x509.load_pem_x509_certificate(ca)
    signer = serialization.load_pem_private_key(ca_key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is no elliptic curve key")  # noqa: TRY004  # a file's content
    public = signer.public_key()
    key = ec.generate_private_key(ec.SECP256R1())
    life = min(_SERVER_LIFE, authority.not_valid_after_utc - now)
    builder = (
        _builder(key.public_key(), _name("iotxmpp private server"), authority.subject, now, life)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in _wanted(domain)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    server = _pem(builder.sign(signer, hashes.SHA256()))
    return Certificates(ca=ca, ca_key=ca_key, server=server, server_key=_key_pem(key))


def _builder(
    key: ec.EllipticCurvePublicKey, subject: x509.Name, issuer: x509.Name, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
