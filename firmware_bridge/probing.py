"""Finds out what speaks at a port: its speed, its protocol, who it is, and what it gives."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from firmware_bridge.airsession import AirSession
from firmware_bridge.board import BoardSession
from firmware_bridge.findings import Findings, Protocol
from firmware_bridge.hearsay import Hearsay
from firmware_bridge.link import Link
from firmware_bridge.port import Receiver, Wire, open_port

if TYPE_CHECKING:
    from firmware_bridge.events import Session

BAUDS = (
    *(115_200, 9600, 57_600, 38_400),
    *(19_200, 921_600, 460_800, 230_400, 74_880, 250_000, 500_000, 1_000_000, 2_000_000, 4800),
)
"""The speeds that are tried, the likeliest first; at 74,880 an ESP8266 says why it started."""

LIKELY = BAUDS[:4]
"""The speeds that a board which speaks seldom is waited for at."""

STARTS = 3.5
"""Seconds to listen at the first speed: a board that its opened port resets needs some of them."""

LISTENS = 1.6
"""Seconds to listen at each further speed."""

PATIENT = 12.0
"""Seconds to listen at a likely speed for a board that speaks seldom, such as every 10 s."""

LASTS = 60.0
"""Seconds that finding takes at most, and that the first reading is waited for."""

SHOWS = 10.0
"""Seconds for which readings are shown, from the first one on."""

_STEP = 0.05
_AWAKE = 0.6
_FOREIGN = 5


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
    """Listens at a port; to be closed.

    The port stays open from the first good word on, so that nothing of what a board says at its start is
    lost: only the first opening starts some boards anew.

    Args:
        port: The port.
        bauds: The speeds to try.
        seconds: How long to listen: until it is found (all speeds are tried at least once), and then to show
            it; at the only speed, in all. None for `LASTS` and `SHOWS`.
        tell: Is told what is being done, for people.
    """

    def __init__(
        self,
        port: str,
        *,
        bauds: Sequence[int] = BAUDS,
        seconds: float | None = None,
        tell: Callable[[str], None],
    ) -> None:
        self._port = port
        self._bauds = tuple(bauds)
        self._seconds = seconds
        self._tell = tell
        self._starts, self._listens, self._patient = STARTS, LISTENS, PATIENT
        self._lasts = LASTS if seconds is None else seconds
        self._limit = 0.0
        self._link: Link | None = None
        self._findings: dict[int, Findings] = {}
        self.heard: dict[int, Hearsay] = {}

    async def find(self) -> Findings | None:
        """Finds the speed; None if nothing is understood at any. What was heard is in the findings.

        Raises:
            OSError: The port cannot be opened, or is gone.
        """
        self._limit = time.monotonic() + self._lasts
        if len(self._bauds) == 1:
            found = await self._only()
        else:
            found = await self._first_round() or await self._longer()
        if found is not None:
            return found
        best = max(self.heard, key=lambda baud: self.heard[baud].worth)
        return self._findings[best] if self.heard[best].worth > 0 else None

    async def watch(self, findings: Findings, show: Callable[[], None]) -> None:
        """Decodes what comes, for as long as it is to be shown; of a board that is refused, nothing follows.

        Raises:
            OSError: The port cannot be opened, or is gone.
        """
        link = self._link
        if link is None or findings.protocol == "pms5003":
            link = await self._open(findings.baud, self._listens)
        start, first = time.monotonic(), None
        while True:
            now = time.monotonic()
            first = now if first is None and findings.has_readings else first
            findings.damaged = link.session.counts.damaged
            if findings.refused or now >= self._end(start, first):
                return
            if link.error is not None:
                raise link.error
            show()
            await asyncio.sleep(_STEP * 4)

    async def close(self) -> None:
        """Closes the port."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def nothing(self) -> str:
        """Why nothing was understood, and what to do, for people."""
        size = sum(each.size for each in self.heard.values())
        several = len(self._bauds) > 1
        where = "at any speed" if several else f"at {self._bauds[0]} baud"
        speed = " give its speed: --baud;" if several else ""
        advice = f"Press the board's reset button while it listens;{speed} listen longer: --seconds"
        if not size:
            return (
                f"{self._port}: nothing came {where}. Is it the right port (iotxmpp serial list)? Does"
                f" the sketch call Serial.begin and print lines such as temperature=21.5? {advice}"
            )
        most = max(self.heard, key=self._rank)
        begin = f"{self._port}: {size} bytes came, but nothing that is understood {where}"
        why = self.heard[most].reason
        if why:
            at = f" at {most} baud" if several else ""
            return (
                f"{begin}. The newest line of text{at}: {why}. Print lines such as temperature=21.5"
                " humidity=40, without a check or with the right one (docs/serial.md). If readings come"
                " later, listen longer: --seconds"
            )
        sample = ascii(self.heard[most].sample.decode(errors="replace"))
        return (
            f"{begin}; at {most} baud they begin {sample}. Print lines such as temperature=21.5"
            f" (docs/serial.md). {advice}"
        )

    async def _only(self) -> Findings | None:
        baud = self._bauds[0]
        self._tell(f"{self._port}: listening at {baud} baud, for up to {self._lasts:.0f} s")
        return await self._try(baud, self._starts, self._limit, at_once=True)

    async def _first_round(self) -> Findings | None:
        for number, baud in enumerate(self._bauds):
            self._tell(f"{self._port}: listening at {baud} baud")
            window = self._listens if number else self._starts
            found = await self._try(baud, window, time.monotonic() + window)
            if found is not None:
                return found
        return None

    async def _longer(self) -> Findings | None:
        """Goes round the likely speeds: a board may speak every 10 s only."""
        while True:
            for baud in self._likely():
                now = time.monotonic()
                if now >= self._limit:
                    return None
                self._tell(self._waiting(baud, self._limit - now))
                end = min(self._limit, now + self._patient)
                found = await self._try(baud, self._listens, end, at_once=True)
                if found is not None or self.heard[baud].foreign >= _FOREIGN:
                    return found

    def _likely(self) -> list[int]:
        """The speeds at which text came, then the likely ones without garbage; or all likely ones."""
        text = [baud for baud in self._bauds if self.heard[baud].is_text]
        clean = [baud for baud in self._bauds if baud in LIKELY and not self.heard[baud].is_garbage]
        return list(dict.fromkeys([*text, *clean])) or list(self._bauds)

    def _waiting(self, baud: int, left: float) -> str:
        hearsay = self.heard[baud]
        if hearsay.is_text:
            sample = ascii(hearsay.sample.decode(errors="replace"))
            why = f"text came ({sample}); waiting for a line such as temperature=21.5"
        else:
            why = "waiting for a board that speaks seldom; its reset button makes it speak"
        return f"{self._port}: listening at {baud} baud again, for at most {left:.0f} s more: {why}"

    async def _try(self, baud: int, starts: float, end: float, *, at_once: bool = False) -> Findings | None:
        """Listens at a speed; the port stays open if it is right.

        Args:
            baud: The speed.
            starts: Seconds that a board may take to start.
            end: When to stop, by the monotonic clock.
            at_once: Whether one good line ends it, and not only what is sure.
        """
        link = await self._open(baud, starts)
        hearsay, findings = self.heard[baud], self._findings[baud]
        while time.monotonic() < end and not (hearsay.is_good if at_once else hearsay.is_sure):
            if link.error is not None:
                raise link.error
            await asyncio.sleep(_STEP)
        findings.protocol = _protocol(hearsay)
        if hearsay.is_good:
            return findings
        await self.close()
        return None

    async def _open(self, baud: int, starts: float) -> Link:
        """Opens the port at a speed; what comes goes to the findings at that speed."""
        await self.close()
        hearsay = self.heard.setdefault(baud, Hearsay())
        hearsay.open()
        findings = self._findings.setdefault(baud, Findings(port=self._port, baud=baud, came=hearsay.dropped))
        session: Session = AirSession() if findings.protocol == "pms5003" else BoardSession()
        self._link = link = Link(self._port, session, findings.hear)

        async def opener(receiver: Receiver) -> Wire:
            return await open_port(self._port, baud, _Tap(receiver, hearsay))

        await link.open(opener, starts * _AWAKE)
        return link

    def _end(self, start: float, first: float | None) -> float:
        """When showing ends, by when it began and when the first reading came."""
        if self._seconds is not None:
            return self._limit if len(self._bauds) == 1 else start + self._seconds
        last = start + self._lasts
        return last if first is None else min(last, first + SHOWS)

    def _rank(self, baud: int) -> tuple[bool, bool, int, int]:
        """Text says more than noise, in which a short line may stand too; a whole line more than a part."""
        hearsay = self.heard[baud]
        return hearsay.is_legible, bool(hearsay.reason), hearsay.points, hearsay.size


def _protocol(hearsay: Hearsay) -> Protocol:
    return "pms5003" if hearsay.is_pms5003 else "auto"
