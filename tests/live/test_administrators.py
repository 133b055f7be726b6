"""Several administrators at once: what each of them asks for is done, whatever the others do meanwhile."""

import asyncio
import secrets
from contextlib import AsyncExitStack

import pytest

from iotxmpp.addresses import device_id
from iotxmpp.server import ServerKind, ServerProcess
from iotxmpp.server.devices import add_device, list_devices, remove_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner

ADMINISTRATORS = 2
"""With more, ejabberd at times undoes a deletion by half and leaves a node that nobody owns."""
ROUNDS = 8


@pytest.mark.parametrize("kind", list(ServerKind))
async def test_devices_are_added_and_removed_at_once(
    kind: ServerKind, request: pytest.FixtureRequest
) -> None:
    server: ServerProcess = request.getfixturevalue(str(kind))
    names = [device_id(f"busy-{secrets.token_hex(4)}") for _ in range(ADMINISTRATORS)]
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(XmppLink(server.admin)) for _ in names]
        administrators = [XmppProvisioner(link) for link in links]
        both = list(zip(administrators, names, strict=True))
        for _ in range(ROUNDS):
            await asyncio.gather(
                *(add_device(each, server.admin, name, controllers=()) for each, name in both)
            )
            assert set(names) <= set(await list_devices(administrators[0], server.admin.service))
            await asyncio.gather(*(remove_device(each, server.admin, name) for each, name in both))
            assert not set(names) & set(await list_devices(administrators[0], server.admin.service))
