"""Whether a private server truly accepts clients."""

import asyncio
import re
import ssl
from contextlib import suppress

from iotxmpp.server.spec import HOST

_ANSWER_TIMEOUT = 5.0
_STARTTLS = b"urn:ietf:params:xml:ns:xmpp-tls"
_MECHANISM = re.compile(rb"<mechanism>SCRAM-[^<]+</mechanism>")


async def problem(*, domain: str, port: int, direct_port: int, trust: ssl.SSLContext) -> str:
    """Why the server does not accept clients yet; empty once it does.

    It does when one port offers STARTTLS for the domain, and the other, over TLS with a trusted certificate,
    offers SCRAM.
    """
    try:
        if _STARTTLS not in await _features(domain, port, None):
            return f"port {port} offers no STARTTLS"
        if not _MECHANISM.search(await _features(domain, direct_port, trust)):
            return f"port {direct_port} offers no SCRAM"
    except asyncio.IncompleteReadError as error:
        return f"the stream ended after {error.partial[-200:]!r}"
    except (OSError, asyncio.LimitOverrunError) as error:  # of which TimeoutError is one
        return f"{type(error).__name__}: {error}"
    return ""


async def _features(domain: str, port: int, trust: ssl.SSLContext | None) -> bytes:
    """What a server says of itself on a new stream (RFC 6120 section 4.3)."""
    async with asyncio.timeout(_ANSWER_TIMEOUT):
        reader, writer = await asyncio.open_connection(
            HOST, port, ssl=trust, server_hostname=domain if trust else None
        )
        try:
            writer.write(
                b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' "
                b"xmlns:stream='http://etherx.jabber.org/streams' to='%s'>" % domain.encode()
            )
            answer = await reader.readuntil(b"</stream:features>")
            writer.write(b"</stream:stream>")
            return answer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
