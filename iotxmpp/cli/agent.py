"""`iotxmpp agent`: runs a device without code."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Run a device's agent.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Run a device's agent."""


@app.command("run")
def run(
    config: Annotated[Path, typer.Argument(help="The device's agent.toml.")],
) -> None:
    """Run the agent that a file describes, until it is stopped."""
    from iotxmpp.agent.config import load_agent

    load_agent(config).run()
