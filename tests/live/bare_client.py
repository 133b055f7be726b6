"""A session by slixmpp as it comes: a library that is not ours."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from slixmpp import ClientXMPP

from iotxmpp.account import Account
from tests.live.site import PATIENCE


@asynccontextmanager
async def bare_client(account: Account, *plugins: str) -> AsyncIterator[ClientXMPP]:
    """An account's session of any resource, with these plugins of slixmpp's."""
    client = ClientXMPP(f"{account.jid}/{secrets.token_hex(4)}", account.password.get_secret_value())
    client.ca_certs = account.ca
    client.enable_direct_tls = False
    for name in plugins:
        client.register_plugin(name)
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    for event in ("session_start", "failed_all_auth", "connection_failed"):
        client.add_event_handler(event, partial(_first, up, event))
    try:
        client.connect(account.host, account.port)
        assert await asyncio.wait_for(up, PATIENCE) == "session_start"
        yield client
    finally:
        client.cancel_connection_attempt()
        await client.disconnect(wait=1)


def _first(up: asyncio.Future[str], event: str, _: object) -> None:
    if not up.done():
        up.set_result(event)
