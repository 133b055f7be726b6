"""How a device says that it is there, and how it is: presence with `urn:iotxmpp:status:0`."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

from iotxmpp.agent.outbox import MemoryOutbox
from iotxmpp.errors import IotxmppError
from iotxmpp.link import Link, Presence
from iotxmpp.status import DeviceStatus
from iotxmpp.xmltext import clean_text

CHANGE_GAP = 2.0
"""Least seconds between two announcements of changed problems."""

EARLY = 0.9
"""A heartbeat is sent after this part of the promised longest silence."""

_MOST_PROBLEMS = 20
_LOGGER = logging.getLogger(__name__)

Why = Literal["start", "heartbeat", "change", "stop"]


class Problems:
    """What does not work right now, a sentence for each thing."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self.changed = asyncio.Event()

    def report(self, key: str, text: str, *, cause: BaseException | None = None) -> None:
        """Sets the problem of one thing; logged when it is new."""
        text = clean_text(text)
        if self._texts.get(key) == text:
            return
        _LOGGER.warning("%s", text, exc_info=cause)
        self._texts[key] = text
        self.changed.set()

    def clear(self, key: str) -> None:
        """The thing works again, or never failed."""
        text = self._texts.pop(key, None)
        if text is not None:
            _LOGGER.info("over: %s", text)
            self.changed.set()

    def texts(self) -> tuple[str, ...]:
        """The sentences, in the order of their beginning; the last one counts what is left out."""
        texts = tuple(self._texts.values())
        if len(texts) <= _MOST_PROBLEMS:
            return texts
        return (*texts[: _MOST_PROBLEMS - 1], f"and {len(texts) - _MOST_PROBLEMS + 1} more")


class StatusReporter:
    """Announces a device's presence: at the start, at each heartbeat, at each change, and at the end."""

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        link: Link,
        *,
        heartbeat: float,
        version: str,
        sensors: int,
        outbox: MemoryOutbox,
        problems: Problems,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._heartbeat = heartbeat
        self._version = version
        self._sensors = sensors
        self._outbox = outbox
        self._problems = problems
        self._now = now
        self._started = now()

    def status(self, why: Why) -> DeviceStatus:
        """How the device is now."""
        return DeviceStatus(
            why=why,
            heartbeat=self._heartbeat,
            uptime=self._now() - self._started,
            version=self._version,
            buffered=self._outbox.buffered,
            dropped=self._outbox.dropped,
            problems=self._problems.texts(),
        )

    async def start(self) -> None:
        """Announces the start; while the link is down it waits there for the first session."""
        await self._announce("start")

    async def run(self) -> None:
        """Announces heartbeats and changes until it is cancelled."""
        interval = self._heartbeat * EARLY
        gap = 0.0
        while True:
            due = asyncio.get_running_loop().time() + interval
            await asyncio.sleep(gap)
            try:
                async with asyncio.timeout_at(due):
                    await self._problems.changed.wait()
            except TimeoutError:
                await self._announce("heartbeat")
                gap = 0.0
            else:
                await self._announce("change")
                gap = min(CHANGE_GAP, interval / 2)

    async def stop(self) -> None:
        """Announces the end."""
        await self._announce("stop")

    async def _announce(self, why: Why) -> None:
        self._problems.changed.clear()
        status = self.status(why)
        presence = Presence(
            available=why != "stop", text=_sentence(status, self._sensors), extensions=(status.element(),)
        )
        try:
            await self._link.announce(presence)
        except IotxmppError as error:
            _LOGGER.warning("presence could not be announced: %s", error)


def _sentence(status: DeviceStatus, sensors: int) -> str:
    parts = [
        "stopped" if status.why == "stop" else "online",
        f"{sensors} sensor{'' if sensors == 1 else 's'}",
    ]
    if status.problems:
        parts.append(f"{len(status.problems)} problem{'' if len(status.problems) == 1 else 's'}")
    return ", ".join(parts)
