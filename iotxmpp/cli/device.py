"""`iotxmpp device`: adds, lists and removes devices on a server, as its administrator."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid, device_id, domain
from iotxmpp.cli.options import AccountOption, JsonOption, chosen_account
from iotxmpp.cli.output import print_json, print_table
from iotxmpp.errors import ConfigError, ForbiddenError, NotAllowedError

if TYPE_CHECKING:
    from iotxmpp.xmpp import XmppProvisioner

app = typer.Typer(help="Add, list and remove devices, as the server's administrator.", no_args_is_help=True)


@asynccontextmanager
async def _administration(admin: Account) -> AsyncIterator["XmppProvisioner"]:
    from iotxmpp.xmpp import XmppLink, XmppProvisioner

    async with XmppLink(admin) as link:
        provisioner = XmppProvisioner(link)
        try:
            await provisioner.check_administrator()
        except ForbiddenError as error:
            raise NotAllowedError(
                f"{admin.jid} is no administrator of {domain(admin.jid)}: "
                "give the administrator's account file with --account"
            ) from error
        yield provisioner


@app.command("add")
def add(
    device: Annotated[str, typer.Argument(help="The device's id: a-z, 0-9 and -.")],
    account: AccountOption = None,
    controller: Annotated[
        list[str] | None,
        typer.Option(
            help="Bare JID that it obeys; can be given several times. Default: controller@<domain>."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the account file here (0600), not to stdout.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            metavar="",
            help="Renew the password and controllers of an existing device; overwrite the file.",
        ),
    ] = False,
) -> None:
    """Create a device's account and nodes, and print or write its account file."""
    from iotxmpp.server.devices import add_device

    name = device_id(device)
    admin = chosen_account(account, "admin")
    controllers = tuple(bare_jid(jid) for jid in controller or [f"controller@{domain(admin.jid)}"])
    if output is not None:
        Account.check_place(output)
        if output.exists() and not force:
            raise ConfigError(f"{output} exists; use --force to renew the device's password and overwrite it")

    async def create() -> Account:
        async with _administration(admin) as provisioner:
            return await add_device(provisioner, admin, name, controllers=controllers, renew=force)

    created = asyncio.run(create())
    if output is None:
        typer.echo(created.toml(), nl=False)
        return
    created.save(output)
    typer.echo(f"{created.jid} added; its account file is {output}", err=True)


@app.command("list")
def list_(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List the devices that have nodes on the server."""
    from iotxmpp.server.devices import list_devices

    admin = chosen_account(account, "admin")

    async def fetch() -> list[dict[str, str]]:
        async with _administration(admin) as provisioner:
            found = await list_devices(provisioner, admin.service)
        return [{"device": name, "jid": f"{name}@{domain(admin.jid)}"} for name in found]

    devices = asyncio.run(fetch())
    if as_json:
        print_json(devices)
    else:
        print_table(devices, ("device", "jid"), whole=("device",))


@app.command("remove")
def remove(
    device: Annotated[str, typer.Argument(help="The device's id.")],
    account: AccountOption = None,
) -> None:
    """Delete a device's account and nodes."""
    from iotxmpp.server.devices import remove_device

    name = device_id(device)
    admin = chosen_account(account, "admin")

    async def delete() -> None:
        async with _administration(admin) as provisioner:
            await remove_device(provisioner, admin, name)

    asyncio.run(delete())
    typer.echo(f"{name}@{domain(admin.jid)} removed", err=True)
