"""The tree of commands."""

from typing import Annotated

import typer

from iotxmpp.cli import (
    agent,
    audit,
    call,
    commands,
    controller,
    demo,
    device,
    doctor,
    history,
    outbox,
    profile,
    server,
    simulate,
    twin,
    watch,
)
from iotxmpp.cli.logs import set_up_logging
from iotxmpp.cli.plugins import add_plugins

app = typer.Typer(
    name="iotxmpp",
    help="Device messaging over XMPP PubSub.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(agent.app, name="agent")
app.add_typer(audit.app, name="audit")
app.add_typer(commands.app, name="commands")
app.add_typer(controller.app, name="controller")
app.add_typer(device.app, name="device")
app.add_typer(outbox.app, name="outbox")
app.add_typer(profile.app, name="profile")
app.add_typer(server.app, name="server")
app.add_typer(twin.app, name="twin")
app.command("doctor")(doctor.doctor)
app.command("call")(call.call)
app.command("history")(history.history)
app.command("watch")(watch.watch)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
add_plugins(app)


def _version(wanted: bool) -> None:
    if wanted:
        import iotxmpp

        typer.echo(f"iotxmpp {iotxmpp.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, metavar="", show_default=False, help="Say more; twice for XMPP."
        ),
    ] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar="", help="Show the version."),
    ] = False,
) -> None:
    """Device messaging over XMPP PubSub."""
    del version  # its callback has served it
    set_up_logging(verbose)
