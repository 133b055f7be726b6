"""Runs the agent of a file, without typer: a device's process stays small."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_METADATA = "importlib.metadata"
"""Pydantic asks it for plugins, slixmpp for its own version; with all that it takes along it is 2 MB."""


def run_agent(file: Path) -> None:
    """Runs it until a signal.

    Raises:
        ConfigError: The file, or one that it names, is missing or wrong.
        ConnectError: The server refused for good.
    """
    with _leanly():
        import iotxmpp.xmpp  # noqa: F401  # for its effect: slixmpp is loaded
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
    """Imports in the body find nothing installed; later ones find all that is."""
    if _METADATA in sys.modules:
        yield
        return
    stand_in = ModuleType(_METADATA)
    vars(stand_in).update(
        PackageNotFoundError=LookupError, entry_points=lambda **_: (), version=lambda _: "0.0.0"
    )
    sys.modules[_METADATA] = stand_in
    try:
        yield
    finally:
        del sys.modules[_METADATA]
