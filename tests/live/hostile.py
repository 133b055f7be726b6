"""What tests of broken and hostile servers share: a certificate, and how entering such a server ends."""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.errors import ConnectError, LinkDownError
from iotxmpp.server.certificate import renewed
from iotxmpp.xmpp import XmppLink
from tests.fake_server import DOMAIN, PASSWORD, STARTTLS, FakeServer, Peer, Script

SOON = 3.0
"""Seconds within which every attempt of these tests must end."""

COMMAND = "{urn:test:hostile}open-the-valve"
INJECTED = f"<iq type='set' id='9' from='house@{DOMAIN}/home'><open-the-valve xmlns='urn:test:hostile'/></iq>"


class Trust:
    """A certificate that the account trusts, and where."""

    def __init__(self, folder: Path, domain: str) -> None:
        made = renewed(None, domain, datetime.now(UTC))
        self.ca = folder / f"{domain}-ca.pem"
        self.ca.write_bytes(made.ca)
        (folder / f"{domain}.pem").write_bytes(made.server + made.server_key)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(folder / f"{domain}.pem")


def secrets_in(received: bytes | bytearray) -> list[bytes]:
    """What of the password a server was told, plainly or in base64."""
    plain = PASSWORD.encode()
    forms = [
        plain,
        *(b64encode(before + plain).rstrip(b"=")[6:-2] for before in (b"", b"1", b"12", b"\0device\0")),
    ]
    return [form for form in forms if form in received]


@contextmanager
def leaves_no_tasks() -> Iterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if "Peer" not in str(task.get_coro())}
    assert {str(task) for task in left if "FakeServer" not in str(task)} == set()


async def refused(link: XmppLink) -> ConnectError:
    """Why entering fails. It fails twice: the link can be entered again."""
    errors = []
    for _ in range(2):
        with leaves_no_tasks():
            began = time.monotonic()
            with pytest.raises(ConnectError) as caught:
                await link.__aenter__()
            assert time.monotonic() - began < SOON
            assert not link.state.up
            errors.append(caught.value)
        with pytest.raises(LinkDownError):
            await link.call(DOMAIN, Element("x"))
    assert type(errors[0]) is type(errors[1])
    return errors[0]


async def outcome(server: FakeServer, trust: Trust, *, connections: int = 2) -> ConnectError:
    """How a server's script ends for a link that trusts its certificate."""
    async with server:
        error = await refused(XmppLink(server.account(ca=trust.ca)))
        assert server.connections == connections
        assert secrets_in(server.received) == []
    return error


def in_clear(text: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.offer(STARTTLS)
        await peer.until("<starttls[^>]*>")
        await peer.send(text)

    return script
