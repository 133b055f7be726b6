"""Tells one session of a device what is in the store."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from iotxmpp import crashpoints
from iotxmpp.controller.ackpace import AckPace
from iotxmpp.controller.device import Device
from iotxmpp.controller.metrics import Metrics
from iotxmpp.delivery import MOST_EPOCHS, Ack
from iotxmpp.errors import (
    ForbiddenError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    StoreError,
    UnreachableError,
)
from iotxmpp.link import Link

log = logging.getLogger(__name__)

Upto = Callable[[str], Awaitable[dict[str, int]]]
"""Gives up to where the epochs of a device are settled, of those that were seen last."""


class Teller:
    """The acks to one session: at most one is under way, and the next one says all that is known by then.

    An ack that fails is sent again with the next news: a commit, a presence of the device, or the readings
    that it publishes again.

    Args:
        device: The device.
        to: The session's full JID.
        link: The link.
        metrics: Counts the acks.
        pace: How soon one ack follows another.
        upto: Where the device's epochs stand.
        on_forbidden: Called when the session says that it has another collector.

    Attributes:
        asked: Whether it was asked for everything at least once.
    """

    def __init__(  # noqa: PLR0913  # what it needs to send, and what the line does
        self,
        *,
        device: Device,
        to: str,
        link: Link,
        metrics: Metrics,
        pace: AckPace,
        upto: Upto,
        on_forbidden: Callable[[str], None],
    ) -> None:
        self._device = device
        self._to = to
        self._link = link
        self._metrics = metrics
        self._pace = pace
        self._upto = upto
        self._on_forbidden = on_forbidden
        self._pending: dict[str, int] = {}
        self._again = False
        self.asked = False
        self._news = 0
        self._refused = False
        self._sent = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def unsaid(self) -> Mapping[str, int]:
        """What the session was not told, or did not answer."""
        return self._pending

    def settled(self, upto: Mapping[str, int]) -> None:
        """These epochs are settled up to these numbers."""
        for epoch, seq in upto.items():
            self._pending.pop(epoch, None)  # the newest stand last
            self._pending[epoch] = seq
        self._news += 1

    def ask(self) -> None:
        """Asks for everything that the session holds and that is not acknowledged."""
        self._again = self.asked = True
        self._news += 1

    def begin_anew(self) -> None:
        """The session is another run: it may have another collector by now, and is asked for everything."""
        self._refused = False
        self.ask()

    def start(self) -> None:
        """Sends what is still to be sent, unless that is under way."""
        if not (self._pending or self._again) or self._refused:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"iotxmpp acks to {self._to}")

    def stop(self) -> None:
        """Sends nothing more."""
        self._refused = True
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Sends nothing more, and waits until that is so."""
        self.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while (self._pending or self._again) and not self._refused:
            await asyncio.sleep(max(0.0, self._sent + self._pace.between() - time.monotonic()))
            if not self._link.state.up:
                return
            self._sent, news = time.monotonic(), self._news
            self._pace.told(self._sent)
            # One that failed, perhaps after a long wait, is not all that there is to say by now.
            if not await self._send() and self._news == news:
                return

    async def _send(self) -> bool:
        """Sends one ack; whether it makes sense to go on."""
        again, self._again = self._again, False
        chosen = list(self._pending.items())[-MOST_EPOCHS:]
        try:
            upto = dict(chosen)
            if again:
                upto = dict(list(({**await self._upto(self._device.id), **upto}).items())[-MOST_EPOCHS:])
            await self._link.call(self._to, Ack(upto=upto, again=again).element())
        except (LinkDownError, NoAnswerError, UnreachableError, StoreError) as error:
            log.debug("ack to %s: %s", self._to, error)
            self._metrics.ack("failed")
            self._again |= again
            return False
        except ForbiddenError:
            self._refused = True
            self._metrics.ack("forbidden")
            self._on_forbidden(self._to)
        except IotxmppError as error:
            log.warning("device %s refuses an ack: %s", self._device.id, error)
            self._metrics.ack("refused")
        else:
            crashpoints.at("ack-sent")
            self._metrics.ack("sent")
            self._device.hear()
        for epoch, seq in chosen:
            if self._pending.get(epoch) == seq:
                del self._pending[epoch]
        return True
