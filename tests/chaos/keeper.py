"""A controller that keeps what comes: `python -m tests.chaos.keeper CONFIG [--mutate dedup|ack]`.

It may be killed at any moment and started again. SIGTERM ends it cleanly.
"""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from iotxmpp import Controller
from iotxmpp.account import Account
from iotxmpp.errors import ConnectError
from tests.chaos import mutations
from tests.chaos.settings import KeeperConfig

AGAIN = 0.2

log = logging.getLogger("chaos.keeper")


async def keep(config: KeeperConfig) -> None:
    """Runs until it is cancelled; tries again where there is no server yet."""
    while True:
        controller = Controller(
            Account.load(config.account), store=config.store, discover_every=1.0 if config.quick else 10.0
        )
        try:
            async with controller:
                log.info("the controller runs")
                await asyncio.Event().wait()
        except ConnectError as error:
            log.warning("%s; again in %s s", error, AGAIN)
            await asyncio.sleep(AGAIN)


async def _run(config: KeeperConfig) -> None:
    keeping = asyncio.create_task(keep(config))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, keeping.cancel)
    await asyncio.wait({keeping})
    if not keeping.cancelled():
        keeping.result()


def main() -> None:
    """Runs the controller that a file describes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--mutate", choices=["dedup", "ack"])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = KeeperConfig.model_validate_json(arguments.config.read_text())
    config.prepare()
    mutations.apply(arguments.mutate)
    asyncio.run(_run(config))


if __name__ == "__main__":
    main()
