"""SCRAM as RFC 5802 and RFC 7677 want it: bounded work, a strong nonce, and nothing weaker.

Importing this module puts `BoundedScram` in the place of slixmpp's own SCRAM.
"""

import hashlib
import secrets

from slixmpp.util.sasl import SASLCancelled, sasl_mech
from slixmpp.util.sasl.mechanisms import SCRAM

MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
"""What we log in with; never PLAIN, LOGIN, DIGEST-MD5 or ANONYMOUS."""

MIN_ITERATIONS = 4096
MAX_ITERATIONS = 500_000
"""A server chooses the iteration count; without a bound it could keep a device busy for ever."""


@sasl_mech(60)
class BoundedScram(SCRAM):
    """SCRAM whose key is derived in C, with a bounded iteration count."""

    def Hi(self, text: str | bytes, salt: bytes, iterations: int) -> bytes:  # noqa: N802  # RFC 5802's name
        """RFC 5802 section 2.2: the salted password."""
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            expected = f"expected {MIN_ITERATIONS} to {MAX_ITERATIONS}"
            raise SASLCancelled(f"{iterations} iterations; {expected}")  # type: ignore[no-untyped-call]
        password = text.encode() if isinstance(text, str) else bytes(text)
        return hashlib.pbkdf2_hmac(self.hash_name.replace("-", "").lower(), password, salt, iterations)

    def process_1(self, challenge: bytes) -> bytes:
        """RFC 5802 section 5: the first message, with a nonce that nobody can guess."""
        super().process_1(challenge)
        self.cnonce = secrets.token_hex(16).encode()
        name = self.saslname(self.credentials["username"])
        self.client_first_message_bare = b"n=" + name + b",r=" + self.cnonce
        self.client_first_message = self.gs2_header + self.client_first_message_bare
        return self.client_first_message
