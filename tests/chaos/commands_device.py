"""A device whose command must not run twice.

    python -m tests.chaos.commands_device CONFIG [--mutate journal]

The command writes its number into a ledger, outside the system, before it returns. The device may be killed
at any moment and started again. SIGTERM ends it cleanly.
"""

import asyncio
import os
import time
from unittest.mock import patch

from iotxmpp import Agent
from iotxmpp.account import Account
from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.backoff import Backoff
from iotxmpp.errors import CommandError
from iotxmpp.serving.filejournal import SqliteJournal
from tests.chaos.child import read_config, until_terminated
from tests.chaos.commands_child import CommandDeviceConfig, die_when_armed

ACTING = 0.005
"""Seconds that the command goes on after it has acted."""


def make_agent(config: CommandDeviceConfig) -> Agent:
    """The agent, with its command."""
    agent = Agent(Account.load(config.account), outbox=OutboxSettings(path=config.outbox))
    if config.quick:
        agent._backoff = lambda **_: Backoff(first=0.05, longest=0.4)
    ledger = os.open(config.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @agent.command
    def act(token: int, fails: bool = False) -> int:
        os.write(ledger, f"{token}\n".encode())
        os.fsync(ledger)
        time.sleep(ACTING)
        if fails:
            raise CommandError("as it was asked to")
        return token

    return agent


async def serve(config: CommandDeviceConfig) -> None:
    """Runs until it is cancelled."""
    await make_agent(config).serve()


def forget_calls() -> None:
    """Takes the journal's memory out of the product, in this process alone."""

    async def nothing(*_: object) -> None:
        pass

    patch.object(SqliteJournal, "begin", nothing).start()
    patch.object(SqliteJournal, "find", nothing).start()


def main() -> None:
    """Runs the device that a file describes."""
    config, mutation = read_config(CommandDeviceConfig, ["journal"])
    die_when_armed(config.armed)
    if mutation == "journal":
        forget_calls()
    asyncio.run(until_terminated(serve(config), ready=config.ready.touch))


if __name__ == "__main__":
    main()
