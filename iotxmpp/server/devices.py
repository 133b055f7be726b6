"""Adds, lists and removes devices on any server: an account each, and its nodes."""

import secrets

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes, bare_jid, device_of_node, domain
from iotxmpp.errors import (
    ConfigError,
    ConflictError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
)
from iotxmpp.provisioning import NodePolicy, Provisioner

_SECRET_BYTES = 24


async def add_device(
    provisioner: Provisioner,
    admin: Account,
    device: DeviceId,
    *,
    controllers: tuple[str, ...],
    renew: bool = False,
) -> Account:
    """Creates a device's nodes and then its account, and returns the account with a new password.

    The nodes are made first: where the outcome is unknown, the device can be renewed or removed.

    Args:
        provisioner: Creates them.
        admin: Whose server and PubSub service the device shares.
        device: Its id; its account is `<id>@<domain of the administrator>`.
        controllers: The bare JIDs that it obeys, and that may read its nodes.
        renew: A device that exists gets a new password, and these controllers, instead of an error.

    Raises:
        ConfigError: It has the name of the administrator or of one of its controllers.
        ConflictError: The device exists and is not to be renewed, or the account of that name is no device's;
            nothing was changed.
    """
    controllers = tuple(bare_jid(controller) for controller in controllers)
    jid = _account_of(device, admin)
    if jid in controllers:
        raise ConfigError(f"{jid} is to be the controller; give the device another name")
    exists = device in await list_devices(provisioner, admin.service)
    if exists and not renew:
        raise ConflictError(
            "conflict", f"device {device} exists at {admin.service}; renew it (--force) for a new password"
        )
    password = secrets.token_urlsafe(_SECRET_BYTES)
    nodes = DeviceNodes(service=admin.service, device=device)
    try:
        for node, keep in ((nodes.about, 1), (nodes.state, 2), (nodes.readings, 0)):
            await provisioner.create_node(node, NodePolicy(publisher=jid, readers=controllers, keep=keep))
        await _create_account(provisioner, jid, password, renew=exists)
    except (LinkDownError, NoAnswerError):  # the account may exist: its nodes show whose it is
        raise
    except IotxmppError:
        if not exists:
            await _delete_nodes(provisioner, nodes)
        raise
    return admin.model_copy(update={"jid": jid, "password": SecretStr(password), "controllers": controllers})


async def remove_device(provisioner: Provisioner, admin: Account, device: DeviceId) -> None:
    """Deletes a device's account and its nodes.

    Raises:
        ConfigError: It has the name of the administrator.
        NotFoundError: There is no such device; nothing was deleted.
    """
    jid = _account_of(device, admin)
    if device not in await list_devices(provisioner, admin.service):
        raise NotFoundError(
            "item-not-found", f"no device {device} at {admin.service}; see `iotxmpp device list`"
        )
    await provisioner.delete_account(jid)
    await _delete_nodes(provisioner, DeviceNodes(service=admin.service, device=device))


async def list_devices(provisioner: Provisioner, service: str) -> list[DeviceId]:
    """The ids of the devices that have nodes at a service, in order."""
    found = (device_of_node(address.node) for address in await provisioner.nodes(service))
    return sorted({entry[0] for entry in found if entry is not None})


def _account_of(device: DeviceId, admin: Account) -> str:
    """The bare JID of a device, which is never the administrator's."""
    jid = f"{device}@{domain(admin.jid)}"
    if jid == admin.jid:
        raise ConfigError(f"{jid} is the administrator, and no device")
    return jid


async def _create_account(provisioner: Provisioner, jid: str, password: str, *, renew: bool) -> None:
    try:
        await provisioner.create_account(jid, password, renew=renew)
    except ConflictError as error:
        raise ConflictError(
            "conflict", f"the account {jid} exists and is no device; give the device another name"
        ) from error


async def _delete_nodes(provisioner: Provisioner, nodes: DeviceNodes) -> None:
    for node in (nodes.about, nodes.state, nodes.readings):
        await provisioner.delete_node(node)
