"""Tells devices what is in the store, and asks them again for what is missing."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from iotxmpp import crashpoints
from iotxmpp.controller.device import Device
from iotxmpp.controller.gapwatch import GapWatch
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.store import Taken
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

EVERY = 0.1
"""Seconds between two acks to one device, at least."""

SWEEP = 1.0
"""Seconds between two looks at the holes."""

Upto = Callable[[str], Awaitable[dict[str, int]]]
"""Gives up to where the epochs of a device are settled, of those that were seen last."""


class Line:
    """The acks of one device: at most one is under way, and the next one says all that is known by then.

    An ack that fails is sent again with the next news: a commit, a presence of the device, or the readings
    that it publishes again.

    Args:
        device: The device.
        link: The link.
        metrics: Counts the acks.
        upto: Where the device's epochs stand.
    """

    def __init__(self, device: Device, link: Link, metrics: Metrics, upto: Upto) -> None:
        self.gaps = GapWatch()
        self._device = device
        self._link = link
        self._metrics = metrics
        self._upto = upto
        self._pending: dict[str, int] = {}
        self._again = False
        self._news = 0
        self._runs: dict[str, float] = {}
        self._refused = False
        self._told_refused = False
        self._sent = -EVERY
        self._task: asyncio.Task[None] | None = None

    def settled(self, epoch: str, taken: Taken) -> None:
        """A commit settled something of an epoch."""
        now = time.monotonic()
        self.gaps.settled(epoch, taken.upto, taken.missing, now, postponed=taken.postponed)
        self._pending.pop(epoch, None)  # the newest stand last
        self._pending[epoch] = taken.upto
        self._news += 1
        self._start()

    def ask(self) -> None:
        """Asks for everything that the device holds and that is not acknowledged."""
        self._again = True
        self._news += 1
        self._start()

    def look(self) -> None:
        """Looks at the device's sessions; one that was not there before is asked."""
        runs: dict[str, float] = {}
        new = False
        for seen in self._device.sessions.there:
            jid = seen.presence.sender
            uptime = self._runs.get(jid, -1.0) if seen.status is None else seen.status.uptime
            new |= jid not in self._runs or uptime < self._runs[jid]
            runs[jid] = uptime
        self._runs = runs
        if new:
            self._refused = False
            self.ask()
        elif self._pending or self._again:
            self._start()

    async def close(self) -> None:
        """Sends nothing more."""
        self._refused = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._refused or (self._task is not None and not self._task.done()):
            return
        self._task = asyncio.create_task(self._run(), name=f"iotxmpp acks of {self._device.id}")

    async def _run(self) -> None:
        while (self._pending or self._again) and not self._refused:
            await asyncio.sleep(max(0.0, self._sent + EVERY - time.monotonic()))
            current = self._device.sessions.current
            if current is None or not self._link.state.up:
                return
            self._sent, news = time.monotonic(), self._news
            # One that failed, perhaps after a long wait, is not all that there is to say by now.
            if not await self._send(current.presence.sender) and self._news == news:
                return

    async def _send(self, to: str) -> bool:
        """Sends one ack; whether it makes sense to go on."""
        again, self._again = self._again, False
        chosen = list(self._pending.items())[-MOST_EPOCHS:]
        try:
            upto = dict(chosen)
            if again:
                upto = dict(list(({**await self._upto(self._device.id), **upto}).items())[-MOST_EPOCHS:])
            await self._link.call(to, Ack(upto=upto, again=again).element())
        except (LinkDownError, NoAnswerError, UnreachableError, StoreError) as error:
            log.debug("ack to %s: %s", to, error)
            self._metrics.ack("failed")
            self._again |= again
            return False
        except ForbiddenError:
            self._not_ours(to)
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

    def _not_ours(self, to: str) -> None:
        self._refused = True
        self._metrics.ack("forbidden")
        level = logging.DEBUG if self._told_refused else logging.WARNING
        self._told_refused = True
        log.log(
            level, "%s has another collector: its readings are stored, and not acknowledged from here", to
        )


class Acks:
    """The acks of all devices of a running controller."""

    def __init__(self, link: Link, metrics: Metrics, upto: Upto) -> None:
        self._link = link
        self._metrics = metrics
        self._upto = upto
        self._lines: dict[str, Line] = {}
        self._task = asyncio.create_task(self._watch(), name="iotxmpp gaps")

    def join(self, device: Device) -> None:
        """A device's readings are subscribed to from now on."""
        if device.id not in self._lines:
            self._lines[device.id] = Line(device, self._link, self._metrics, self._upto)
        self._lines[device.id].look()

    def look(self, device: Device) -> None:
        """A device's presence came."""
        line = self._lines.get(device.id)
        if line is not None:
            line.look()

    def look_all(self) -> None:
        """Our own link went down or came up."""
        for line in self._lines.values():
            line.look()

    def heard(self, device: Device) -> None:
        """An item came from a device."""
        line = self._lines.get(device.id)
        if line is not None:
            line.gaps.heard(time.monotonic())

    def settled(self, device: Device, epoch: str, taken: Taken) -> None:
        """A commit settled something of a device."""
        line = self._lines.get(device.id)
        if line is not None:
            line.settled(epoch, taken)

    async def close(self) -> None:
        """Sends nothing more."""
        self._task.cancel()
        await asyncio.gather(
            self._task, *(line.close() for line in self._lines.values()), return_exceptions=True
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for device, line in self._lines.items():
                if line.gaps.due(now):
                    log.info("device %s: readings are missing: asked for again", device)
                    line.ask()
