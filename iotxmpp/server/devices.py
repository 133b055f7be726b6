"""Adds, lists and removes devices on any server: an account each, and its nodes."""

import secrets

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes, device_of_node, domain
from iotxmpp.errors import NotFoundError
from iotxmpp.link import NodePolicy, Provisioner

_SECRET_BYTES = 24


async def add_device(
    provisioner: Provisioner, admin: Account, device: DeviceId, *, controllers: tuple[str, ...]
) -> Account:
    """Creates a device's nodes and then its account, and returns the account with a new password.

    A device that exists gets a new password, and the readers that are given here.

    Args:
        provisioner: Creates them.
        admin: Whose server and PubSub service the device shares.
        device: Its id; its account is `<id>@<domain of the administrator>`.
        controllers: The bare JIDs that it obeys, and that may read its nodes.
    """
    jid = f"{device}@{domain(admin.jid)}"
    nodes = DeviceNodes(service=admin.service, device=device)
    for node, keep in ((nodes.about, 1), (nodes.state, 2), (nodes.readings, 0)):
        await provisioner.create_node(node, NodePolicy(publisher=jid, readers=controllers, keep=keep))
    password = secrets.token_urlsafe(_SECRET_BYTES)
    await provisioner.create_account(jid, password)
    return admin.model_copy(update={"jid": jid, "password": SecretStr(password), "controllers": controllers})


async def remove_device(provisioner: Provisioner, admin: Account, device: DeviceId) -> None:
    """Deletes a device's account and its nodes.

    Raises:
        NotFoundError: There is no such device.
    """
    if device not in await list_devices(provisioner, admin.service):
        raise NotFoundError("item-not-found", f"no device {device} at {admin.service}")
    await provisioner.delete_account(f"{device}@{domain(admin.jid)}")
    nodes = DeviceNodes(service=admin.service, device=device)
    for node in (nodes.about, nodes.state, nodes.readings):
        await provisioner.delete_node(node)


async def list_devices(provisioner: Provisioner, service: str) -> list[DeviceId]:
    """The ids of the devices that have nodes at a service, in order."""
    found = (device_of_node(address.node) for address in await provisioner.nodes(service))
    return sorted({entry[0] for entry in found if entry is not None})
