"""The accounts of the bench on one server."""

import secrets
from dataclasses import dataclass

from pydantic import SecretStr

from iotxmpp import Account
from iotxmpp.addresses import DeviceId
from iotxmpp.server import ServerProcess
from iotxmpp.server.devices import add_device
from iotxmpp.xmpp import XmppLink, XmppProvisioner

RAW, LINK, AGENT, FOOTPRINT = (DeviceId(name) for name in ("raw", "link", "agent", "footprint"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Accounts:
    """Who takes part.

    Attributes:
        plain: The plain client beside the controller.
        raw: The plain client beside the device; its node is set up as a device's.
        link: The device that serves by the link alone.
        agent: The device whose latencies are measured.
        footprint: The device whose memory is measured.
    """

    plain: Account
    raw: Account
    link: Account
    agent: Account
    footprint: Account


async def make_accounts(server: ServerProcess) -> Accounts:
    """Creates them, with their nodes."""
    plain = server.controller.model_copy(
        update={"jid": f"plain@{server.domain}", "password": SecretStr(secrets.token_urlsafe())}
    )
    async with XmppLink(server.admin) as link:
        provisioner = XmppProvisioner(link)
        await provisioner.create_account(plain.jid, plain.password.get_secret_value())

        async def device(name: DeviceId, controller: str) -> Account:
            return await add_device(provisioner, server.admin, name, controllers=(controller,))

        return Accounts(
            plain=plain,
            raw=await device(RAW, plain.jid),
            link=await device(LINK, server.controller.jid),
            agent=await device(AGENT, server.controller.jid),
            footprint=await device(FOOTPRINT, server.controller.jid),
        )
