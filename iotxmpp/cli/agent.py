"""`iotxmpp agent`: runs a device without code."""

from pathlib import Path
from typing import Annotated

import typer

from iotxmpp.cli.agent_install import install
from iotxmpp.cli.agent_run import run_agent

app = typer.Typer(help="Run a device's agent.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Run a device's agent."""


@app.command("run")
def run(
    config: Annotated[Path, typer.Argument(help="The device's agent.toml.")],
) -> None:
    """Run the agent that a file describes, until it is stopped."""
    run_agent(config)


app.command("install")(install)
