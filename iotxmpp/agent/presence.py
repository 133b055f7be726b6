"""How a device says that it is there, and how it is: presence with `urn:iotxmpp:status:0`."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal
from xml.etree.ElementTree import Element

from iotxmpp.addresses import DeviceId, NodeAddress, domain
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.errors import IotxmppError, LinkDownError, NoAnswerError, StanzaError
from iotxmpp.link import PING, Link, LinkState, Presence
from iotxmpp.status import DeviceStatus
from iotxmpp.xmltext import clean_text

CHANGE_GAP = 2.0
"""Least seconds between two announcements of changed problems."""

EARLY = 0.9
"""A heartbeat is sent after this part of the promised longest silence."""

SURE_WITHIN = 5.0
"""Seconds that our server has to show that it took in that we sleep."""

_MOST_PROBLEMS = 20
_LOGGER = logging.getLogger(__name__)

Why = Literal["start", "heartbeat", "change", "reconnect", "sleep", "stop"]


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
    """Announces a device's presence.

    At the start, at each heartbeat, at each change, when the link is back, before a sleep, and at the end.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        link: Link,
        *,
        heartbeat: float,
        version: str,
        sensors: int,
        outbox: Keeper,
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
        self._wakes: float | None = None
        self._cut = False
        self._due = 0.0
        self._waiting: asyncio.Timeout | None = None

    def status(self, why: Why) -> DeviceStatus:
        """How the device is now."""
        return DeviceStatus(
            why=why,
            heartbeat=self._heartbeat,
            uptime=self._now() - self._started,
            version=self._version,
            buffered=self._outbox.held,
            oldest=self._outbox.oldest,
            dropped=self._outbox.stock.dropped,
            dead=self._outbox.stock.dead,
            outbox=self._outbox.state,
            problems=self._problems.texts(),
            sleeping=self._sleep_left(),
        )

    async def start(self) -> None:
        """Announces the start; while the link is down it waits there for the first session."""
        await self._announce("start")

    async def run(self) -> None:
        """Announces heartbeats and changes until it is cancelled."""
        cancel = self._link.on_state(self._link_changed)
        try:
            await self._run()
        finally:
            cancel()

    async def sleep(self, seconds: float) -> bool:
        """Announces that the device will not be heard for so many seconds; 0 ends a sleep early.

        Returns:
            Whether the server has it. Otherwise it is remembered, for when the link is up again.
        """
        self._wakes = self._now() + seconds
        self._plan()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._due)
        return await self._announce("sleep" if seconds > 0 else "change") and await self._is_heard()

    async def _run(self) -> None:
        interval = self._heartbeat * EARLY
        gap = 0.0
        while True:
            self._plan()
            await asyncio.sleep(gap)
            if await self._is_changed():
                await self._announce("change")
                gap = min(CHANGE_GAP, interval / 2)
                continue
            gap = 0.0
            if self._sleep_left() is None:
                await self._announce("heartbeat")

    async def _is_changed(self) -> bool:
        """Waits until the next heartbeat; whether something changed before it."""
        try:
            async with asyncio.timeout_at(self._due) as waiting:
                self._waiting = waiting
                await self._problems.changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting = None
        return True

    def _plan(self) -> None:
        """The next heartbeat: soon enough for the promise, or at the time of waking."""
        wait = self._sleep_left() or self._heartbeat * EARLY
        self._due = asyncio.get_running_loop().time() + wait

    def _link_changed(self, _state: LinkState) -> None:
        """What the next session begins with, remembered while the link is down, must not be an old start."""
        self._cut = True
        self._problems.changed.set()

    def _sleep_left(self) -> float | None:
        """Seconds until the device is awake again; None while it is."""
        left = 0.0 if self._wakes is None else self._wakes - self._now()
        if left <= 0:
            self._wakes = None
            return None
        return left

    async def stop(self) -> None:
        """Announces the end."""
        await self._announce("stop")

    async def _is_heard(self) -> bool:
        """Whether the server has what was announced: it answers in order, so a ping after that shows it."""
        try:
            await self._link.call(domain(self._link.jid), Element(PING), kind="get", timeout=SURE_WITHIN)
        except StanzaError:
            return True  # an answer, too
        except (LinkDownError, NoAnswerError) as error:
            _LOGGER.warning("presence may not have reached the server yet: %s", error)
            return False
        return True

    async def _announce(self, why: Why) -> bool:
        self._problems.changed.clear()
        if self._cut and why in {"heartbeat", "change"}:
            why, self._cut = "reconnect", not self._link.state.up
        status = self.status(why)
        presence = Presence(
            available=why != "stop",
            show="" if status.sleeping is None else "xa",
            text=_sentence(status, self._sensors),
            extensions=(status.element(),),
        )
        try:
            await self._link.announce(presence)
        except IotxmppError as error:
            _LOGGER.warning("presence could not be announced: %s", error)
            return False
        return True


def _sentence(status: DeviceStatus, sensors: int) -> str:
    parts = [
        _doing(status),
        f"{sensors} sensor{'' if sensors == 1 else 's'}",
    ]
    if status.problems:
        parts.append(f"{len(status.problems)} problem{'' if len(status.problems) == 1 else 's'}")
    return ", ".join(parts)


def _doing(status: DeviceStatus) -> str:
    if status.sleeping is not None:
        return f"asleep for {status.sleeping:.0f} s"
    return "stopped" if status.why == "stop" else "online"


def missing_node(node: NodeAddress, device: DeviceId, error: StanzaError) -> str:
    """The problem of a node that is not there or not ours, with what to do."""
    return f"{node.node}: {error}; ask the operator to run: iotxmpp device add {device}"
