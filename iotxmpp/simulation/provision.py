"""Adds simulated devices to a server, those that are not there yet, and removes them again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, NodeAddress, bare_jid, device_of_node
from iotxmpp.errors import ConflictError, NotFoundError
from iotxmpp.provisioning import NodePolicy, Provisioner
from iotxmpp.server.devices import add_device, remove_device
from iotxmpp.simulation.folder import Folder

SIDE_BY_SIDE = 8
"""Devices that are added or removed at one time."""


class _AsItWas:
    """A provisioner that asks once which nodes there are: of these devices, nobody else changes any."""

    def __init__(self, provisioner: Provisioner, service: str, nodes: list[NodeAddress]) -> None:
        self._nodes = {service: nodes}
        self._inner = provisioner
        self.create_account = provisioner.create_account
        self.delete_account = provisioner.delete_account
        self.delete_node = provisioner.delete_node

    async def create_node(self, node: NodeAddress, policy: NodePolicy) -> None:
        await self._inner.create_node(node, policy)

    async def nodes(self, service: str) -> list[NodeAddress]:
        if service not in self._nodes:
            self._nodes[service] = await self._inner.nodes(service)
        return self._nodes[service]


async def provision(
    provisioner: Provisioner,
    admin: Account,
    folder: Folder,
    devices: Sequence[DeviceId],
    controllers: Sequence[str],
) -> dict[DeviceId, Account]:
    """The accounts of the devices; those that are missing are added, the others reused.

    Args:
        provisioner: Adds them.
        admin: Whose server and service they share.
        folder: Where their accounts are kept.
        devices: Their ids.
        controllers: The bare JIDs that they obey.

    Raises:
        ConflictError: A device is there that no simulation with this folder added; nothing was changed.
    """
    folder.bind(admin.service)
    nodes = await provisioner.nodes(admin.service)
    there = {found[0] for found in map(device_of_node, (each.node for each in nodes)) if found is not None}
    strangers = [device for device in devices if device in there and not folder.is_ours(device)]
    if strangers:
        raise ConflictError(
            "conflict",
            f"{strangers[0]} is at {admin.service} already, and not from {folder.path}; give --prefix for"
            " other names, or the --directory that has its account",
        )
    known = _AsItWas(provisioner, admin.service, nodes)
    wanted = tuple(bare_jid(each) for each in controllers)
    accounts: dict[DeviceId, Account] = {}

    async def ensure(device: DeviceId) -> None:
        kept = folder.account(device) if device in there else None
        if kept is not None and kept.controllers == wanted:
            # The server may listen elsewhere than last time.
            fresh = admin.model_copy(
                update={"jid": kept.jid, "password": kept.password, "controllers": wanted, "collector": None}
            )
            accounts[device] = fresh
            return
        folder.adding(device)
        account = await add_device(known, admin, device, controllers=wanted, renew=device in there)
        folder.added(device, account)
        accounts[device] = account

    await _side_by_side(devices, ensure)
    return {device: accounts[device] for device in devices}


async def remove(provisioner: Provisioner, admin: Account, folder: Folder) -> int:
    """Removes all devices of the folder from the server, and their files; returns how many there were."""
    folder.bind(admin.service)
    known = _AsItWas(provisioner, admin.service, await provisioner.nodes(admin.service))
    devices = folder.devices()

    async def let_go(device: DeviceId) -> None:
        try:
            await remove_device(known, admin, device)
        except NotFoundError:  # somebody else removed it; its account may be left
            await known.delete_account(f"{device}@{admin.jid.partition('@')[2]}")
        folder.forget(device)

    await _side_by_side(devices, let_go)
    return len(devices)


async def _side_by_side(devices: Sequence[DeviceId], work: Callable[[DeviceId], Awaitable[None]]) -> None:
    """Does the work for each device; after a failure no more is begun, and the first is raised."""
    left = list(reversed(devices))

    async def worker() -> None:
        while left:
            device = left.pop()
            try:
                await work(device)
            except BaseException:
                left.clear()
                raise

    done = await asyncio.gather(*(worker() for _ in range(SIDE_BY_SIDE)), return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
