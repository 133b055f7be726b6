"""A controller that keeps what comes: `python -m tests.chaos.keeper CONFIG [--mutate dedup|ack]`.

It may be killed at any moment and started again. SIGTERM ends it cleanly.
"""

import asyncio
import logging

from iotxmpp import Controller
from iotxmpp.account import Account
from iotxmpp.errors import ConnectError
from tests.chaos import mutations
from tests.chaos.child import read_config, until_terminated
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


def main() -> None:
    """Runs the controller that a file describes."""
    config, mutation = read_config(KeeperConfig, ["dedup", "ack"])
    mutations.apply(mutation)
    asyncio.run(until_terminated(keep(config)))


if __name__ == "__main__":
    main()
