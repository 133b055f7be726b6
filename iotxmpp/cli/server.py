"""`iotxmpp server`: a private XMPP server on this machine."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.cli.options import JsonOption, server_directory
from iotxmpp.cli.output import print_json
from iotxmpp.cli.signals import interruptible
from iotxmpp.errors import ConfigError, IotxmppError

if TYPE_CHECKING:
    from iotxmpp.server import ServerKind, ServerProcess

app = typer.Typer(help="A private XMPP server on this machine.", no_args_is_help=True)

KINDS = ("prosody", "ejabberd")


@app.callback()
def _group() -> None:
    """A private XMPP server on this machine."""


@app.command("run")
def run(
    kind: Annotated[str, typer.Option(help="prosody or ejabberd; default: the one that is installed.")] = "",
    directory: Annotated[
        Path | None, typer.Option(help="Where it keeps everything; kept from start to start.")
    ] = None,
    domain: Annotated[str, typer.Option(help="The domain that it serves.")] = "localhost",
    port: Annotated[int, typer.Option(help="Port for STARTTLS; 0 chooses, and remembers.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Run Prosody or ejabberd on loopback, without an administrator's rights, until stopped."""
    from iotxmpp.server import ServerProcess, ServerSpec

    spec = ServerSpec(
        kind=chosen_kind(kind), directory=directory or server_directory(), domain=domain, port=port
    )

    async def serve() -> None:
        async with interruptible(), ServerProcess(spec) as server:
            _introduce(server, as_json=as_json)
            await server.wait()
            raise IotxmppError(f"{spec.kind} ended by itself; its log is {server.log_path}")

    asyncio.run(serve())


def chosen_kind(name: str) -> "ServerKind":
    """The kind of server of that name; without one, the first that is installed.

    Raises:
        ConfigError: There is no such kind, or none is installed; the text says what to do.
    """
    from iotxmpp.server import ServerKind, install_hint, installed

    if name:
        try:
            return ServerKind(name)
        except ValueError:
            raise ConfigError(f"server {name!r}: choose {' or '.join(KINDS)}") from None
    for kind in ServerKind:
        if installed(kind):
            return kind
    raise ConfigError(f"no XMPP server is installed. {install_hint(ServerKind.PROSODY)}")


def _introduce(server: "ServerProcess", *, as_json: bool) -> None:
    facts = {
        "kind": str(server.spec.kind),
        "domain": server.domain,
        "service": server.service,
        "port": server.port,
        "direct_port": server.direct_port,
        "pid": server.pid,
        "admin_account": str(server.admin_file),
        "controller_account": str(server.controller_file),
        "log": str(server.log_path),
    }
    if as_json:
        print_json(facts)
        return
    typer.echo(f"{facts['kind']} serves {server.domain} on 127.0.0.1:{server.port} (Ctrl+C stops it)")
    typer.echo(f"  administrator's account file: {server.admin_file}")
    typer.echo(f"  controller's account file:    {server.controller_file}")
    typer.echo(f"  log:                          {server.log_path}")
    if server.admin_file.parent == server_directory():
        typer.echo("Next: iotxmpp device add greenhouse-1 --output greenhouse-1.account.toml")
    else:
        typer.echo(f"Next: iotxmpp device add greenhouse-1 --account {server.admin_file}")
