"""Where the files of a device are, by its agent file or its account."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotxmpp.errors import InvalidError

if TYPE_CHECKING:
    from iotxmpp.account import Account

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="The device's agent.toml.")]


def outbox_of_agent_file(config: Path, without: str) -> Path:
    """The outbox's file of the device of an agent file.

    Args:
        config: The agent file.
        without: What else is to be said where the outbox is in memory.

    Raises:
        InvalidError: The outbox is in memory, or the agent file is wrong.
    """
    from iotxmpp.agent.config import load_agent

    path = load_agent(config).outbox_path
    if path is None:
        raise InvalidError(f"agent file {config}: its outbox is in memory{without}")
    return path


def outbox_of_account(account: "Account") -> Path:
    """The outbox's file of a device that runs as this account, and whose agent names no other."""
    from iotxmpp.addresses import device_id
    from iotxmpp.agent.outbox.settings import FILE_NAME, state_directory

    return state_directory(account.jid, device_id(account.name)) / FILE_NAME
