"""The twin of one device: sends what is desired of it, and takes what it reports."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from iotxmpp.addresses import DeviceNodes
from iotxmpp.backoff import Backoff
from iotxmpp.controller.asking import ask_each
from iotxmpp.controller.device import Device
from iotxmpp.controller.items import Refused, check_sender, item_json, item_text, origin_of
from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.store.twin import Wanted
from iotxmpp.controller.twinledger import Ledger
from iotxmpp.controller.twinrival import Rivalry
from iotxmpp.errors import (
    ForbiddenError,
    InvalidError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
    UnreachableError,
)
from iotxmpp.link import Cancel, Item, Link
from iotxmpp.twin import REPORTED_ITEM, SEND_ALL, Desired, Reported, Twin, parse_reported

log = logging.getLogger(__name__)

LEAST_GAP = 0.1
"""Seconds between two requests to one device at least."""

_HOPELESS = frozenset({"bad-request", "feature-not-implemented", "forbidden", "not-acceptable"})
"""Refusals that the same request would meet again in this session."""


class TwinLine:
    """One device's twin.

    Its work is done by one task, which ends when there is nothing more to do; whatever may be news starts it
    again.

    Args:
        device: The device.
        service: The PubSub service.
        link: The link.
        ledger: What is kept.
        gate: Limits how many devices are served side by side.
        backoff: When to try again.
        reject: Takes reports that break the rules.
        tell: Told when the twin has changed.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the controller
        self,
        device: Device,
        *,
        service: str,
        link: Link,
        ledger: Ledger,
        gate: asyncio.Semaphore,
        backoff: Backoff,
        reject: Callable[[Rejection], None],
        tell: Callable[[Device, Twin], Awaitable[None]],
    ) -> None:
        self._device = device
        self._node = DeviceNodes(service=service, device=device.id).state
        self._link = link
        self._ledger = ledger
        self._gate = gate
        self._backoff = backoff
        self._reject = reject
        self._tell = tell
        self._wanted: Wanted | None = None
        self._reported: Reported | None = None
        self._unkept: Reported | None = None
        self._has: tuple[str, str, int] | None = None
        self._send_all = False
        self._renewed = False
        self._rivalry = Rivalry(device.id)
        self._later: asyncio.TimerHandle | None = None
        self._sent = -LEAST_GAP
        self._cancel: Cancel | None = None
        self._fetched = False
        self._notified = 0
        self._told = Twin()
        self._problem = ""
        self._bad = ""
        self._news = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def twin(self) -> Twin:
        """What is known of it."""
        wanted, reported = self._wanted or Wanted(), self._reported or Reported()
        ours = bool(wanted.version) and reported.lineage == wanted.lineage and not _differs(reported, wanted)
        return Twin(
            desired=wanted.settings,
            desired_version=wanted.version,
            reported=reported.settings,
            reported_version=reported.desired if ours else 0,
            refused=reported.refused,
        )

    async def known(self) -> Twin:
        """The twin, with what was kept before this controller started.

        Raises:
            StoreError: That could not be read.
        """
        if self._wanted is None:
            await self._load()
        return self.twin

    def rouse(self) -> None:
        """There may be something to do."""
        self._news += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"iotxmpp twin of {self._device.id}")

    def renew(self) -> None:
        """Our own link has a new session: what was reported meanwhile is fetched."""
        self._fetched = False
        self._has = None
        self.rouse()

    def saw_presence(self) -> None:
        """A presence of the device came: a session that is new is told everything that it may have missed."""
        seen = self._device.sessions.current
        if seen is None:
            return
        started = seen.status is not None and seen.status.why in {"start", "reconnect"}
        if started or self._has is None or self._has[0] != seen.presence.sender:
            self._has = None
            self.rouse()

    async def desire(self, changes: Mapping[str, Any], by: str) -> Twin:
        """Changes what is desired; kept when this returns, and sent as soon as the device is there.

        Raises:
            InvalidError: The settings break the rules, or the controller keeps none.
            StoreError: It could not be kept; nothing was changed.
        """
        rows = self._ledger.rows
        if rows is None:
            raise InvalidError(
                "this controller only watches (collects=False), and keeps no settings: ask the collector"
            )
        again = frozenset(self.twin.refused)
        now, device = time.time(), self._device.id
        self._wanted = await self._ledger.do(
            lambda rows: rows.desire(device, changes, by=by, now=now, again=again), Wanted()
        )
        self._rivalry.allow()  # who changes something wants it now
        self._note()
        self.rouse()
        return self.twin

    async def settled(self) -> Twin:
        """Waits until the device has acted on the newest desired version."""
        while not (twin := self.twin).settled:
            await self._changed.wait()
        return twin

    async def close(self) -> None:
        """Ends it."""
        if self._cancel is not None:
            self._cancel()
        if self._later is not None:
            self._later.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            news = self._news
            async with self._gate:
                done = await self._work()
            await self._tell_change()
            if done and self._news == news:
                return
            if not done:
                await asyncio.sleep(self._backoff.next_delay())

    async def _work(self) -> bool:
        """One turn; whether all is done that can be done now."""
        try:
            if self._wanted is None:
                await self._load()
            if not self._link.state.up:
                return True
            await self._listen()
            await self._keep()
            await self._begin_anew()
            done = await self._send()
        except LinkDownError:
            return True  # the next session rouses it
        except IotxmppError as error:
            self._complain(f"its settings wait: {error}")
            return False
        if done:
            self._problem = ""
            self._backoff.reset()
        return done

    async def _load(self) -> None:
        device = self._device.id
        wanted = await self._ledger.do(lambda rows: rows.wanted(device), Wanted())
        reported = await self._ledger.do(lambda rows: rows.reported(device), None)
        self._wanted = self._wanted or wanted  # what was desired meanwhile is newer
        self._reported = self._reported or reported
        self._note()

    async def _listen(self) -> None:
        """Subscribes to what the device reports, and fetches what it reported."""
        if self._fetched:
            return
        try:
            if self._cancel is None:
                self._cancel = await self._link.subscribe(self._node, self._take)
            before = self._notified
            items = await self._link.items(self._node, newest=2)
        except (ForbiddenError, NotFoundError) as error:
            log.debug("device %s: %s cannot be read: %s", self._device.id, self._node, error)
            items, before = [], self._notified
        self._fetched = True
        if self._notified == before:  # one that was notified meanwhile is newer
            for item in items:
                await self._take(item)

    async def _take(self, item: Item) -> None:
        """Takes an item of the node; one that breaks the rules is rejected, and the last good one stays."""
        if item.id != REPORTED_ITEM:
            return
        self._notified += 1
        try:
            check_sender(item, self._device)
            text = item_json(item)
            try:
                reported = parse_reported(text)
            except InvalidError as error:
                raise Refused("twin", error, text) from error
        except Refused as refused:
            if self._bad != item_text(item):  # the same kept item is fetched at each new session
                self._bad = item_text(item)
                self._reject(origin_of(item, self._device).rejection(refused.code, refused, refused.payload))
            return
        self._bad = ""
        if reported == self._reported:
            return
        before = "" if self._reported is None else self._reported.lineage
        self._reported = self._unkept = reported
        self._rivalry.saw(before, reported.lineage, ours=(self._wanted or Wanted()).lineage)
        self._compare(reported)
        self._note()
        self.rouse()

    async def _keep(self) -> None:
        """Keeps what was reported."""
        reported = self._unkept
        if reported is None:
            return
        device, now = self._device.id, time.time()
        await self._ledger.do(lambda rows: rows.report(device, reported, now=now), None)
        if self._unkept is reported:
            self._unkept = None

    async def _begin_anew(self) -> None:
        """Begins a new lineage where the device has what this one never led to: the store was restored."""
        reported, wanted = self._reported or Reported(), self._wanted or Wanted()
        if not wanted.version or reported.lineage != wanted.lineage:
            return
        if reported.desired > wanted.version or _differs(reported, wanted):
            log.warning("device %s has other settings than the store ever had: all go anew", self._device.id)
            await self._renew(wanted, reported.desired, reported.digest or None)

    async def _renew(self, wanted: Wanted, beyond: int, digest: str | None) -> None:
        device, now = self._device.id, time.time()
        self._wanted = await self._ledger.do(
            lambda rows: rows.renew(device, wanted.lineage, beyond, now=now, digest=digest), wanted
        )
        self._rivalry.allow()
        self._note()

    def _compare(self, reported: Reported) -> None:
        """A device that has not what is desired is told again."""
        wanted = self._wanted or Wanted()
        if reported.lineage != wanted.lineage or reported.desired < wanted.version:
            self._has = None

    async def _send(self) -> bool:
        wanted, seen = self._wanted, self._device.sessions.current
        if wanted is None or not wanted.version or seen is None:
            return True
        session = seen.presence.sender
        if self._has == (session, wanted.lineage, wanted.version):
            return True
        if (wait := self._rivalry.wait()) > 0:
            self._rouse_later(wait)
            return True
        await asyncio.sleep(max(0.0, self._sent + LEAST_GAP - time.monotonic()))
        self._sent = time.monotonic()
        lineage, base = self._base(session)
        device = self._device.id
        desired = await self._ledger.do(lambda rows: rows.since(device, lineage, base), None)
        return desired is None or await self._request(session, desired)

    def _base(self, session: str) -> tuple[str, int]:
        """The version that the device has, as far as is known."""
        if self._send_all:
            return "", 0
        if self._has is not None and self._has[0] == session:
            return self._has[1], self._has[2]
        reported = self._reported or Reported()
        return reported.lineage, reported.desired

    async def _request(self, session: str, desired: Desired) -> bool:
        answering, before = [session], self._reported

        def answered(by: str) -> None:
            answering[0] = by
            self._device.answered(by)

        sessions = self._device.sessions
        try:
            await ask_each(
                self._link, lambda: sessions.to_ask or [session], desired.element(), answered=answered
            )
        except (NoAnswerError, UnreachableError) as error:
            log.debug("device %s did not take its settings: %s", self._device.id, error)
            return False
        except NotFoundError as error:
            if desired.base:  # it has another version than we thought
                self._send_all = True
                self._news += 1
                return True
            if error.detail == SEND_ALL and not self._renewed:  # it has this version with other contents
                log.warning("device %s has other settings than the store: all go anew", self._device.id)
                self._renewed = True
                wanted = Wanted(lineage=desired.lineage, version=desired.version)
                await self._renew(wanted, desired.version, "")
                self._news += 1
                return True
            self._complain(f"it refuses its settings: {error}")
            return False
        except StanzaError as error:
            self._complain(f"it refuses its settings: {error}")
            if error.condition not in _HOPELESS:
                return False
        else:
            self._renewed = False
            if self._reported is not None and self._reported.lineage not in {"", desired.lineage}:
                self._rivalry.replaced()
        self._send_all = False
        self._took(answering[0], desired, before)
        return True

    def _took(self, session: str, desired: Desired, before: Reported | None) -> None:
        """A session answered; what it reported meanwhile may be newer than its answer."""
        self._has = session, desired.lineage, desired.version
        if self._reported is not None and self._reported is not before:
            self._compare(self._reported)

    def _rouse_later(self, seconds: float) -> None:
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(seconds, self.rouse)

    def _complain(self, text: str) -> None:
        """Tells what does not work, once."""
        if text != self._problem:
            self._problem = text
            log.warning("device %s: %s", self._device.id, text)

    def _note(self) -> None:
        """The twin may have changed: wakes who waits for it."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _tell_change(self) -> None:
        twin = self.twin
        if twin != self._told:
            self._told = twin
            await self._tell(self._device, twin)


def _differs(reported: Reported, wanted: Wanted) -> bool:
    """Whether the same version of a lineage has other contents here and on the device."""
    return reported.desired == wanted.version and bool(reported.digest) and reported.digest != wanted.digest
