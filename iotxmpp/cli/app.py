"""The tree of commands, and how an error ends one."""

import logging
import sys
from typing import Annotated

import typer

from iotxmpp.cli import agent, call, controller, demo, device, server, watch
from iotxmpp.cli.exits import exit_code
from iotxmpp.errors import IotxmppError

app = typer.Typer(
    name="iotxmpp",
    help="Device messaging over XMPP PubSub.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(agent.app, name="agent")
app.add_typer(controller.app, name="controller")
app.add_typer(device.app, name="device")
app.add_typer(server.app, name="server")
app.command("call")(call.call)
app.command("watch")(watch.watch)
app.command("demo")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        import iotxmpp

        typer.echo(f"iotxmpp {iotxmpp.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for XMPP.")
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Device messaging over XMPP PubSub."""
    del version  # its callback has served it
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if verbose < 2:  # noqa: PLR2004  # iotxmpp itself says what matters of it
        logging.getLogger("slixmpp").setLevel(logging.CRITICAL)


def main() -> None:
    """Runs the command line; every expected error is one line on stderr and an exit code."""
    try:
        app()
    except IotxmppError as error:
        typer.echo(f"iotxmpp: {error}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
