"""Runs the agent of a file, without typer: a device's process stays small."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UNUSED = ("bz2", "lzma")
"""What zipfile takes along, which comes with importlib.metadata; nothing here is packed so: 0.4 MB."""


def run_agent(file: Path) -> None:
    """Runs it until a signal.

    Raises:
        ConfigError: The file, or one that it names, is missing or wrong.
        ConnectError: The server refused for good.
    """
    with _leanly():
        from iotxmpp.agent.config import load_agent
    from iotxmpp.cli.signals import interruptible

    agent = load_agent(file)
    log = logging.getLogger("iotxmpp")
    log.setLevel(min(logging.INFO, logging.getLogger().level))

    async def serve() -> None:
        async with interruptible():
            await agent.serve()

    asyncio.run(serve())


@contextmanager
def _leanly() -> Iterator[None]:
    """Imports in the body find nothing of what an agent has no use for; later ones do."""
    hidden = [name for name in _UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python says "not importable"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
