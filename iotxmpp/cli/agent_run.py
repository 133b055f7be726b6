"""Runs the agent of a file, without typer: a device's process stays small."""

import asyncio
import logging
from pathlib import Path

from iotxmpp.lean import leanly


def run_agent(file: Path) -> None:
    """Runs it until a signal.

    Raises:
        ConfigError: The file, or one that it names, is missing or wrong.
        ConnectError: The server refused for good.
    """
    with leanly():
        import iotxmpp.xmpp  # noqa: F401  # for its effect: slixmpp is loaded
        from iotxmpp.agent.config import load_agent
    from iotxmpp.cli.signals import interruptible

    agent = load_agent(file)
    for name in ("iotxmpp", "firmware_bridge"):
        logging.getLogger(name).setLevel(min(logging.INFO, logging.getLogger().level))

    async def serve() -> None:
        async with interruptible():
            await agent.serve()

    asyncio.run(serve())
