"""SCRAM as RFC 5802 and RFC 7677 want it: bounded work, a strong nonce, and nothing weaker.

Importing this module puts `BoundedScram` in the place of slixmpp's own SCRAM, and `prepared` before its
SASLprep.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode

from slixmpp.util.sasl import SASLCancelled, client, sasl_mech
from slixmpp.util.sasl.mechanisms import SCRAM

MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
"""What we log in with; never PLAIN, LOGIN, DIGEST-MD5 or ANONYMOUS."""

MIN_ITERATIONS = 4096
MAX_ITERATIONS = 500_000
"""A server chooses the iteration count; without a bound it could keep a device busy for ever."""

_SASLPREP = client.saslprep


def prepared(given: str | bytes) -> str:
    """What SASLprep (RFC 4013) makes of a name or a password.

    It changes nothing in printable ASCII; to find that, slixmpp asks all tables of Unicode, which stay in
    memory: 0.3 MB.
    """
    text = given.decode() if isinstance(given, bytes) else given
    return text if text.isascii() and text.isprintable() else str(_SASLPREP(text))


client.saslprep = prepared


@sasl_mech(60)
class BoundedScram(SCRAM):
    """SCRAM whose key is derived in C, with a bounded iteration count.

    slixmpp takes a `success` at any step of the exchange for the end of it, and hangs on a message that it
    cannot read; so each message is shown to `objection` first.
    """

    def objection(self, message: bytes, *, last: bool) -> str:
        """What is wrong with a message of the server; empty for a good one.

        Args:
            message: A server-first-message or a server-final-message (RFC 5802 section 7).
            last: Whether it came with the server's `success`.
        """
        if last and self._mutual_auth and not message:
            return ""
        try:
            said = self.parse(message)
            if self.step == 1 and not last:
                return self._objection_to_first(said)
            if self.step == 2 and hmac.compare_digest(b64decode(said[b"v"]), self.server_signature):  # noqa: PLR2004  # of three
                return ""
        except (KeyError, ValueError):
            return "sends a login message that is no SCRAM (RFC 5802)"
        return "does not prove that it knows the password"

    def _objection_to_first(self, said: dict[bytes, bytes]) -> str:
        nonce, salt, iterations = said[b"r"], b64decode(said[b"s"]), int(said[b"i"])
        if not (nonce.startswith(self.cnonce) and len(nonce) > len(self.cnonce)):
            return "answers another login than ours"
        if not salt or b"m" in said:
            return "sends a login message that is no SCRAM (RFC 5802)"
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            return f"asks for a count of iterations outside {MIN_ITERATIONS} to {MAX_ITERATIONS}"
        return ""

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

    def process_3(self, challenge: bytes) -> bytes:
        """RFC 5802 section 3: the server's proof, with its `success` or in a challenge before that."""
        if self._mutual_auth and not challenge:
            return b""
        done: bytes = super().process_3(challenge)
        return done
