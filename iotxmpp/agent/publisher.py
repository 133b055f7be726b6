"""Publishes the outbox to the device's node of readings: one pack in flight, in order."""

import asyncio
import logging

from iotxmpp.addresses import DeviceId, NodeAddress
from iotxmpp.agent.outbox import MemoryOutbox, Pack
from iotxmpp.agent.presence import Problems
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ForbiddenError,
    InvalidError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
)
from iotxmpp.link import Link
from iotxmpp.payloads import json_element
from iotxmpp.senml import encode, item_id

AGAIN = 0.1
"""Seconds before a pack whose fate is unknown goes out again, once the link is up."""

_MOST_REFUSALS = 2
_LOGGER = logging.getLogger(__name__)


class Publisher:
    """Sends pack after pack; while one is in flight, readings gather for the next.

    A pack whose fate is unknown (the link went down, no answer came) is published again under the same id.
    While the node is missing or closed to us, packs wait: an operator can put that right. A pack that the
    service refuses twice for another reason is given up, so that it never blocks those behind it.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        link: Link,
        *,
        node: NodeAddress,
        device: DeviceId,
        outbox: MemoryOutbox,
        problems: Problems,
        ready: asyncio.Event,
        backoff: Backoff,
    ) -> None:
        """Makes one.

        Args:
            link: Where to publish.
            node: The device's node of readings.
            device: The device's id.
            outbox: Where readings wait.
            problems: Where to say what does not work.
            ready: Set while packs may go out: the link is up, and the self-description is published.
            backoff: When to try again what was not accepted.
        """
        self._link = link
        self._node = node
        self._device = device
        self._outbox = outbox
        self._problems = problems
        self._ready = ready
        self._backoff = backoff

    async def run(self) -> None:
        """Publishes until it is cancelled."""
        while True:
            pack = await self._outbox.next_pack()
            delivered = await self._deliver(pack)
            self._outbox.settle(delivered=delivered)

    async def _deliver(self, pack: Pack) -> bool:
        refusals = 0
        while True:
            await self._ready.wait()
            try:
                await self._publish(pack)
            except (LinkDownError, NoAnswerError) as error:
                _LOGGER.info("pack %s: %s; it goes out again", item_id(pack.epoch, pack.first_seq), error)
                await asyncio.sleep(AGAIN)
            except (ForbiddenError, NotFoundError) as error:
                self._problems.report("publish", missing_node(self._node, self._device, error))
                await asyncio.sleep(self._backoff.next_delay())
            except (StanzaError, InvalidError) as error:
                refusals += 1
                if refusals >= _MOST_REFUSALS or isinstance(error, InvalidError):
                    self._problems.report(
                        "publish", f"readings: {len(pack.readings)} given up, not accepted: {error}"
                    )
                    return False
                await asyncio.sleep(self._backoff.next_delay())
            else:
                self._problems.clear("publish")
                self._backoff.reset()
                return True

    async def _publish(self, pack: Pack) -> None:
        payload = json_element(encode(pack.readings, device=self._device))
        await self._link.publish(self._node, payload, item_id=item_id(pack.epoch, pack.first_seq))


def missing_node(node: NodeAddress, device: DeviceId, error: StanzaError) -> str:
    """The problem of a node that is not there or not ours, with what to do."""
    return f"{node.node}: {error}; ask the operator to run: iotxmpp device add {device}"
