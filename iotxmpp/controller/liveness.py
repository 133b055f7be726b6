"""Watches all devices' liveness: one heap of times, and pings for those in doubt."""

import asyncio
import heapq
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from xml.etree.ElementTree import Element

from iotxmpp.controller.device import Device
from iotxmpp.controller.metrics import Metrics
from iotxmpp.errors import IotxmppError, LinkDownError, NoAnswerError, StanzaError
from iotxmpp.link import PING, Link
from iotxmpp.liveness import Change

log = logging.getLogger(__name__)

PINGS_AT_ONCE = 100
"""Devices that are pinged side by side; one that must wait too long is judged by its silence alone."""

PROOF_TIMEOUT = 5.0
"""Seconds that our own server has to answer a ping; it is asked until it does."""

PROOF_PAUSE = 0.05
"""Seconds in which what came before that answer is taken in."""

PATIENCE = 2.0
"""Seconds that handlers have at the end to take the last changes."""

Tell = Callable[[Device, Change], Awaitable[None]]
Keep = Callable[[str, Change], None]


class Monitor:
    """Judges devices when their time has come, and tells every change.

    A device is called lost by its silence only after our own server has answered a ping: so a cut of our own
    link that nobody has noticed yet, or a controller that was stopped for a while, loses no device.

    Args:
        link: The link to ping by.
        server: The JID of our own server.
        metrics: Where states and changes are shown.
        changed: Told of each change at once.
        tell: Takes each change to the handlers.
        keep: Puts each change, of a device's id, in the history.
        clock: Seconds of a clock that nobody sets.
    """

    def __init__(  # noqa: PLR0913  # one each of what it ties together
        self,
        *,
        link: Link,
        server: str,
        metrics: Metrics,
        changed: Callable[[Device], None],
        tell: Tell,
        keep: Keep = lambda _device, _change: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._server = server
        self._metrics = metrics
        self._changed = changed
        self._tell = tell
        self._keep = keep
        self._clock = clock
        self._heap: list[tuple[float, int, Device]] = []
        self._count = itertools.count()
        self._planned: dict[Device, float] = {}
        self._wake = asyncio.Event()
        self._doubtful: deque[Device] = deque()
        self._unproved: set[Device] = set()
        self._pings: dict[Device, asyncio.Task[None]] = {}
        self._proof: asyncio.Task[None] | None = None
        self._changes: asyncio.Queue[tuple[Device, Change]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, device: Device) -> None:
        """Begins with a device."""
        self._planned[device] = math.inf
        self._metrics.liveness(device.id, device.state)
        device.pulse.listener = partial(self._judged, device)
        self._judged(device, None)

    def forget(self, device: Device) -> None:
        """Ends with a device."""
        self._planned.pop(device, None)
        self._unproved.discard(device)
        device.pulse.listener = lambda _change: None
        if device in self._pings:
            self._pings.pop(device).cancel()

    def open(self) -> None:
        """Starts to watch the time."""
        self._tasks = [
            asyncio.create_task(self._run(), name="iotxmpp liveness"),
            asyncio.create_task(self._tell_all(), name="iotxmpp liveness changes"),
        ]

    async def close(self) -> None:
        """Ends; the handlers get the changes that wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._changes.join()
        ending = [*self._tasks, *self._pings.values(), *([self._proof] if self._proof else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for device in tuple(self._planned):
            self.forget(device)

    def _judged(self, device: Device, change: Change | None) -> None:
        liveness = device.pulse.liveness
        if liveness.next_at < self._planned.get(device, -math.inf):
            self._plan(device, liveness.next_at)
        if liveness.wants_ping and device not in self._pings and device not in self._doubtful:
            self._doubtful.append(device)
            self._ping_next()
        if liveness.wants_proof:
            self._unproved.add(device)
            self._prove()
        if liveness.hidden:
            self._metrics.flaps(device.id, liveness.hidden)
            liveness.hidden = 0
        if change is not None:
            self._take(device, change)

    def _take(self, device: Device, change: Change) -> None:
        level = logging.WARNING if change.new in {"stale", "lost"} else logging.INFO
        log.log(level, "device %s is %s: %s", device.id, change.new, change.why)
        self._metrics.liveness_changed(device.id, change.new)
        self._changed(device)
        self._keep(device.id, change)
        self._changes.put_nowait((device, change))

    # Time.

    def _plan(self, device: Device, at: float) -> None:
        self._planned[device] = at
        heapq.heappush(self._heap, (at, next(self._count), device))
        if self._heap[0][2] is device:
            self._wake.set()

    async def _run(self) -> None:
        while True:
            wait = self._heap[0][0] - self._clock() if self._heap else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            self._wake.clear()
            self._tick(self._clock())

    def _tick(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            at, _, device = heapq.heappop(self._heap)
            if self._planned.get(device) == at:  # or it was planned anew, or forgotten
                self._planned[device] = math.inf
                device.pulse.tick()

    # Doubt.

    def _ping_next(self) -> None:
        while self._doubtful and len(self._pings) < PINGS_AT_ONCE:
            device = self._doubtful.popleft()
            seen = device.sessions.current
            if device in self._planned and seen is not None and device.pulse.liveness.wants_ping:
                work = self._ping(device, seen.presence.sender)
                self._pings[device] = asyncio.create_task(work, name=f"iotxmpp ping {device.id}")

    async def _ping(self, device: Device, jid: str) -> None:
        pulse = device.pulse
        sent, patience = pulse.pinged(), pulse.ping_patience()
        try:
            await self._link.call(jid, Element(PING), kind="get", timeout=patience)
        except LinkDownError:
            return  # nobody knows anything now
        except NoAnswerError:
            pulse.unanswered(sent, f"no answer to a ping within {patience:.0f} s")
        except IotxmppError as error:
            pulse.unanswered(sent, f"a ping did not reach it: {error}")
        else:
            device.sessions.heard(jid)
            pulse.answered()
        finally:
            if self._pings.pop(device, None) is not None and device in self._planned:
                self._judged(device, None)  # it may be in doubt anew
            self._ping_next()

    def _prove(self) -> None:
        if self._proof is None or self._proof.done():
            self._proof = asyncio.create_task(self._proved(), name="iotxmpp ping our server")

    async def _proved(self) -> None:
        while self._unproved and self._link.state.up:
            sent = self._clock()
            try:
                await self._link.call(self._server, Element(PING), kind="get", timeout=PROOF_TIMEOUT)
            except LinkDownError:
                break
            except NoAnswerError:
                continue
            except StanzaError as error:
                log.debug("our server refuses a ping, and so answers: %s", error)
            await asyncio.sleep(PROOF_PAUSE)
            for device in tuple(self._unproved):
                self._unproved.discard(device)
                device.pulse.link_proved(sent)  # who is in doubt only since then asks again
        self._unproved.clear()

    async def _tell_all(self) -> None:
        while True:
            device, change = await self._changes.get()
            try:
                await self._tell(device, change)
            finally:
                self._changes.task_done()
