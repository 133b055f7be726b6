"""What the processes of a run share: how they are told what to do, and how they end."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TypeVar

from tests.chaos.settings import ChildConfig

Config = TypeVar("Config", bound=ChildConfig)


def read_config(kind: type[Config], mutations: Sequence[str] = ()) -> tuple[Config, str | None]:
    """What the file on the command line says, done to this process; and what is to be broken on purpose."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--mutate", choices=mutations)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = kind.model_validate_json(arguments.config.read_text())
    config.prepare()
    return config, arguments.mutate


async def until_terminated(
    work: Coroutine[object, object, None], *, ready: Callable[[], None] = lambda: None
) -> None:
    """Does the work until SIGTERM comes, and tells once it may come."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    ready()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
