"""Tells devices what is in the store, and asks them again for what is missing."""

import asyncio
import logging
import time

from iotxmpp.controller.ackpace import AckPace
from iotxmpp.controller.device import Device
from iotxmpp.controller.gapwatch import GapWatch
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.store import Taken
from iotxmpp.controller.teller import Teller, Upto
from iotxmpp.link import Link

log = logging.getLogger(__name__)

SWEEP = 1.0
"""Seconds between two looks at the holes."""

MOST_SESSIONS = 10
"""Sessions of one device that get acks: the newest."""


class Line:
    """The acks of one device: to each of its sessions that are agents, since two may share an account.

    Which session holds which epoch is not known; an ack of one that it does not hold is no error.

    Args:
        device: The device.
        link: The link.
        metrics: Counts the acks.
        pace: How soon one ack follows another.
        upto: Where the device's epochs stand.
    """

    def __init__(self, device: Device, link: Link, metrics: Metrics, pace: AckPace, upto: Upto) -> None:
        self.gaps = GapWatch()
        self._device = device
        self._link = link
        self._metrics = metrics
        self._pace = pace
        self._upto = upto
        self._tellers: dict[str, Teller] = {}
        self._unsaid: dict[str, int] = {}
        self._runs: dict[str, float] = {}
        self._told_forbidden = False

    def settled(self, epoch: str, taken: Taken) -> None:
        """A commit settled something of an epoch."""
        now = time.monotonic()
        self.gaps.settled(epoch, taken.upto, taken.missing, now, postponed=taken.postponed)
        self._choose()
        if not self._tellers:
            self._unsaid[epoch] = taken.upto
        for teller in self._tellers.values():
            teller.settled({epoch: taken.upto})
        self._start()

    def ask(self) -> None:
        """Asks for everything that the device holds and that is not acknowledged."""
        self._choose()
        for teller in self._tellers.values():
            teller.ask()
        self._start()

    def look(self) -> None:
        """Looks at the device's sessions; one that was not there before is asked."""
        runs: dict[str, float] = {}
        for seen in self._device.sessions.there:
            jid = seen.presence.sender
            runs[jid] = self._runs.get(jid, -1.0) if seen.status is None else seen.status.uptime
        before, self._runs = self._runs, runs
        self._choose()
        for jid, teller in self._tellers.items():
            if not teller.asked or runs[jid] < before.get(jid, 0.0):
                teller.begin_anew()
        self._start()

    async def close(self) -> None:
        """Sends nothing more."""
        await asyncio.gather(*(teller.close() for teller in self._tellers.values()))

    def _start(self) -> None:
        for teller in self._tellers.values():
            teller.start()

    def _choose(self) -> None:
        """The sessions that are told: those with a status, else the newest."""
        if not self._link.state.up:
            return  # nobody is seen; a link that is resumed goes on with the same
        there = self._device.sessions.there
        agents = [seen for seen in there if seen.status is not None] or list(there[-1:])
        chosen = [seen.presence.sender for seen in agents[-MOST_SESSIONS:]]
        for jid in self._tellers.keys() - set(chosen):
            teller = self._tellers.pop(jid)
            teller.stop()
            if not chosen:
                self._unsaid |= teller.unsaid
        for jid in chosen:
            if jid not in self._tellers:
                self._tellers[jid] = self._teller(jid)
        if self._tellers and self._unsaid:
            unsaid, self._unsaid = self._unsaid, {}
            for teller in self._tellers.values():
                teller.settled(unsaid)

    def _teller(self, jid: str) -> Teller:
        return Teller(
            device=self._device,
            to=jid,
            link=self._link,
            metrics=self._metrics,
            pace=self._pace,
            upto=self._upto,
            on_forbidden=self._forbidden,
        )

    def _forbidden(self, to: str) -> None:
        level = logging.DEBUG if self._told_forbidden else logging.WARNING
        self._told_forbidden = True
        log.log(
            level, "%s has another collector: its readings are stored, and not acknowledged from here", to
        )


class Acks:
    """The acks of all devices of a running controller."""

    def __init__(self, link: Link, metrics: Metrics, upto: Upto) -> None:
        self._link = link
        self._metrics = metrics
        self._upto = upto
        self._pace = AckPace()
        self._lines: dict[str, Line] = {}
        self._task = asyncio.create_task(self._watch(), name="iotxmpp gaps")

    def join(self, device: Device) -> None:
        """A device's readings are subscribed to from now on."""
        if device.id not in self._lines:
            self._lines[device.id] = Line(device, self._link, self._metrics, self._pace, self._upto)
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
