"""Finds out what speaks at a port: its speed, its protocol, who it is, and what it gives."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from firmware_bridge.airsession import AirSession
from firmware_bridge.board import BoardSession
from firmware_bridge.description import Description
from firmware_bridge.events import Described, Greeted, Happened, Logged, Sampled, Session, SessionEvent
from firmware_bridge.hearsay import Hearsay
from firmware_bridge.link import Link
from firmware_bridge.port import Receiver, Wire, open_port
from iotxmpp.readings import Value

BAUDS = (115_200, 9600, 57_600, 38_400, 19_200, 230_400, 250_000, 500_000, 1_000_000, 2_000_000, 4800)
"""The speeds that are tried, the likeliest first."""

STARTS = 3.5
"""Seconds to listen at the first speed: a board that its opened port resets needs some of them."""

LISTENS = 1.6
"""Seconds to listen at each further speed."""

_STEP = 0.05
_MOST_LOGS = 5

Protocol = Literal["auto", "pms5003"]


@dataclass(kw_only=True)
class Seen:
    """A channel that was seen.

    Attributes:
        value: Its last value.
        kinds: The types that its values had.
        count: How many values came.
        at: When the last one came, by the monotonic clock.
        low: The least number.
        high: The greatest number.
    """

    value: Value
    kinds: set[str] = field(default_factory=set)
    count: int = 0
    at: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def note(self, value: Value, now: float) -> None:
        """Notes a value."""
        self.value, self.at = value, now
        self.count += 1
        self.kinds.add(type(value).__name__)
        if not isinstance(value, bool | str):
            self.low, self.high = min(self.low, value), max(self.high, value)


@dataclass(kw_only=True)
class Findings:
    """What a port says.

    Attributes:
        port: The port.
        baud: Its speed.
        protocol: The driver's `protocol` that understands it.
        board: Who the board is; None as long as it does not say.
        description: What a board of level 1 says that it has.
        channels: What was seen, by channel.
        events: The events that were seen, with the last text of each.
        logs: The last lines of its log.
        damaged: Damaged frames and lines.
    """

    port: str
    baud: int
    protocol: Protocol = "auto"
    board: Greeted | None = None
    description: Description | None = None
    channels: dict[str, Seen] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    damaged: int = 0

    def hear(self, events: Sequence[SessionEvent]) -> None:
        """Takes what the session tells."""
        now = time.monotonic()
        for event in events:
            match event:
                case Sampled():
                    self._note(event.values, now)
                case Greeted():
                    self.board = event
                case Described():
                    self.description = event.description
                case Happened():
                    self.events[event.name] = event.text
                case Logged():
                    self.logs = [*self.logs, event.text][-_MOST_LOGS:]
                case _:
                    continue

    def _note(self, values: Mapping[str, Value], now: float) -> None:
        for name, value in values.items():
            seen = self.channels.setdefault(name, Seen(value=value))
            seen.note(value, now)


class _Tap:
    """Hands on what comes, and judges it."""

    def __init__(self, receiver: Receiver, hearsay: Hearsay) -> None:
        self._receiver = receiver
        self._hearsay = hearsay

    def received(self, data: bytes) -> None:
        self._hearsay.take(data)
        self._receiver.received(data)

    def lost(self, error: OSError) -> None:
        self._receiver.lost(error)


class Probe:
    """Listens at a port.

    Args:
        port: The port.
        bauds: The speeds to try.
        tell: Is told what is being done, for people.
    """

    def __init__(self, port: str, *, bauds: Sequence[int] = BAUDS, tell: Callable[[str], None]) -> None:
        self._port = port
        self._bauds = tuple(bauds)
        self._tell = tell
        self._starts, self._listens = STARTS, LISTENS
        self.heard: dict[int, Hearsay] = {}

    async def find(self) -> Findings | None:
        """Finds the speed; None if nothing is understood at any.

        Raises:
            OSError: The port cannot be opened, or is gone.
        """
        for number, baud in enumerate(self._bauds):
            self._tell(f"{self._port}: listening at {baud} baud")
            found = await self._try(baud, self._listens if number else self._starts)
            if found is not None and (self.heard[baud].is_sure or len(self._bauds) == 1):
                return found
        best = max(self.heard, key=lambda baud: self.heard[baud].worth)
        if self.heard[best].worth <= 0:
            return None
        return Findings(port=self._port, baud=best, protocol=_protocol(self.heard[best]))

    async def watch(self, findings: Findings, seconds: float, show: Callable[[], None]) -> None:
        """Decodes what comes for so long.

        Raises:
            OSError: The port cannot be opened, or is gone.
        """
        session: Session = AirSession() if findings.protocol == "pms5003" else BoardSession()
        link = Link(self._port, session, findings.hear)
        try:
            await link.open(partial(open_port, self._port, findings.baud), self._starts)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if link.error is not None:
                    raise link.error
                findings.damaged = session.counts.damaged
                show()
                await asyncio.sleep(_STEP * 4)
        finally:
            await link.close()

    def nothing(self) -> str:
        """Why nothing was understood, for people."""
        size = sum(each.size for each in self.heard.values())
        if not size:
            return (
                f"{self._port}: nothing came at any speed. Is it the right port (iotxmpp serial list)? Does"
                " the sketch call Serial.begin and print lines such as temperature=21.5?"
            )
        most = max(self.heard, key=lambda baud: (self.heard[baud].points, self.heard[baud].size))
        sample = ascii(self.heard[most].sample.decode(errors="replace"))
        return (
            f"{self._port}: {size} bytes came, but nothing that is understood at any speed; at {most} baud"
            f" they begin {sample}. Print lines such as temperature=21.5 (docs/serial.md)"
        )

    async def _try(self, baud: int, seconds: float) -> Findings | None:
        hearsay = self.heard[baud] = Hearsay()
        findings = Findings(port=self._port, baud=baud)
        link = Link(self._port, BoardSession(), findings.hear)

        async def opener(receiver: Receiver) -> Wire:
            return await open_port(self._port, baud, _Tap(receiver, hearsay))

        try:
            await link.open(opener, seconds * 0.6)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not hearsay.is_sure:
                if link.error is not None:
                    raise link.error
                await asyncio.sleep(_STEP)
        finally:
            await link.close()
        findings.protocol = _protocol(hearsay)
        return findings if hearsay.worth > 0 else None


def _protocol(hearsay: Hearsay) -> Protocol:
    return "pms5003" if hearsay.is_pms5003 else "auto"
