"""What comes from devices goes in here: checked, counted, stored, and given to handlers."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from weakref import WeakKeyDictionary

from iotxmpp.controller.acks import Acks
from iotxmpp.controller.clones import Clones
from iotxmpp.controller.columns import last_of_each, live_of
from iotxmpp.controller.description import check_about
from iotxmpp.controller.device import Device
from iotxmpp.controller.dispatch import Dispatcher
from iotxmpp.controller.fastpack import Checks
from iotxmpp.controller.ingest import Checked, check_item, checks_of
from iotxmpp.controller.items import Refused, origin_of
from iotxmpp.controller.jobs import Job, Sink
from iotxmpp.controller.lateness import Lateness
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.rejection import Origin, Rejection
from iotxmpp.controller.store import Arrival, Event, Taken
from iotxmpp.errors import StoreError
from iotxmpp.link import Item
from iotxmpp.readings import Reading

log = logging.getLogger(__name__)


class Rejections:
    """Takes every rejection: told at once, counted, and kept."""

    def __init__(self, metrics: Metrics, sink: Sink) -> None:
        self._metrics = metrics
        self._sink = sink

    def take(self, rejection: Rejection) -> None:
        """Takes one; never waits."""
        self.tell(rejection)
        self._sink.keep(rejection)

    def tell(self, *rejections: Rejection) -> None:
        """Tells what is kept already: of one item, the first of each code, and how many more there are."""
        alike: dict[tuple[str, str, str, str], list[Rejection]] = {}
        for each in rejections:
            alike.setdefault((each.device, each.node, each.item, each.code), []).append(each)
            self._metrics.rejected(each.device, each.code)
        for first, *more in alike.values():
            if more:
                log.warning("rejected: %s; and %d more of this item: %s", first, len(more), first.code)
            else:
                log.warning("rejected: %s", first)


class Intake:
    """Takes the items of devices' nodes.

    Args:
        metrics: Counts what comes.
        rejections: Takes what is rejected.
        dispatcher: Has the handlers.
        sink: Where readings go before they reach handlers.
        acks: Tells devices what is stored; None for a controller that only watches.
    """

    def __init__(
        self,
        metrics: Metrics,
        rejections: Rejections,
        dispatcher: Dispatcher,
        sink: Sink,
        acks: Acks | None,
    ) -> None:
        self._metrics = metrics
        self._rejections = rejections
        self._dispatcher = dispatcher
        self._sink = sink
        self._acks = acks
        self._bad_abouts: dict[str, str] = {}
        self._lateness: WeakKeyDictionary[Device, Lateness] = WeakKeyDictionary()
        self._clones: WeakKeyDictionary[Device, Clones] = WeakKeyDictionary()
        self._checks: WeakKeyDictionary[Device, Checks] = WeakKeyDictionary()

    async def expect(self, device: Device) -> None:
        """Readings of a device may come from now on: recalls its newest ones from the store."""
        self._lateness[device] = Lateness()
        self._clones[device] = Clones()
        try:
            readings = await self._sink.latest(device.id)
        except StoreError as error:
            log.warning("device %s: its newest readings are not known: %s", device.id, error)
            return
        self._lateness[device].start_from(readings)
        device.recall(readings)

    def listening(self, device: Device) -> None:
        """A device's readings are subscribed to: whatever it holds may come."""
        if self._acks is not None:
            self._acks.join(device)

    async def pack(self, device: Device, item: Item) -> None:
        """Takes an item of a device's readings node; waits while too much waits to be stored."""
        now = time.time()
        checked = check_item(item, device, now, self._ready(device))
        if checked.epoch is None:
            self._metrics.pack(device.id, 0)
            for rejection in checked.rejections:
                self._rejections.take(rejection)
            return
        device.hear()
        if self._acks is not None:
            self._acks.heard(device)
        origin = origin_of(item, device)
        arrival = self._arrival(device, checked, checked.epoch, now)
        await self._sink.put(
            Job(
                arrival=arrival,
                origin=origin,
                settled=partial(self._settled, device, arrival),
                deliver=partial(self._deliver, device, origin),
            )
        )

    def about(self, device: Device, item: Item) -> None:
        """Takes an item of a device's about node; after a bad one the last good one stays."""
        try:
            about = check_about(item, device)
        except Refused as refused:
            # The same kept item is fetched at each new session.
            if self._bad_abouts.get(device.id) != f"{item.id} {refused.payload}":
                self._bad_abouts[device.id] = f"{item.id} {refused.payload}"
                rejection = origin_of(item, device).rejection(refused.code, refused, refused.payload)
                self._rejections.take(rejection)
            return
        self._bad_abouts.pop(device.id, None)
        device.describe(about)
        self._metrics.described(device.id, {name: each.unit for name, each in about.channels.items()})

    def _ready(self, device: Device) -> Checks | None:
        """The device's description, made ready once."""
        if device.about is None:
            return None
        checks = self._checks.get(device)
        if checks is None or checks.about is not device.about:
            checks = self._checks[device] = checks_of(device.id, device.about)
        return checks

    def _arrival(self, device: Device, checked: Checked, epoch: str, now: float) -> Arrival:
        heartbeat = 0.0 if device.about is None else device.about.heartbeat
        return Arrival(
            device=device.id,
            epoch=epoch,
            numbers=checked.numbers,
            readings=self._lateness[device].mark(checked.readings, now, heartbeat=heartbeat),
            rejections=tuple(zip(checked.seqs, checked.rejections, strict=True)),
            reason=checked.reason,
            received=now,
        )

    def _settled(self, device: Device, arrival: Arrival, taken: Taken) -> None:
        """After the commit of an item."""
        if self._acks is not None:
            self._acks.settled(device, arrival.epoch, taken)
        self._rejections.tell(*taken.rejections)
        self._metrics.settled(device.id, taken, arrival.reason)
        if taken.lost:
            log.warning("device %s: %s readings are lost: %s", device.id, taken.lost, arrival.reason)
        live = live_of(taken.readings)
        self._look_for_clones(device, live)
        newest = last_of_each(live)
        device.show(newest)
        described = newest if device.about is not None else ()
        self._metrics.accepted(device.id, live, arrival.received, newest=described)

    async def _deliver(self, device: Device, origin: Origin, taken: Taken) -> None:
        if taken.readings:
            await self._dispatcher.readings(device, origin, taken.readings)

    def _look_for_clones(self, device: Device, live: Sequence[Reading]) -> None:
        pair = self._clones[device].see(live, time.monotonic())
        if pair is not None:
            text = f"epochs {pair[0]} and {pair[1]} go on side by side: two devices use this account"
            log.warning("device %s: %s", device.id, text)
            self._metrics.clone(device.id)
            self._sink.keep(Event(device=device.id, kind="clone", text=text, time=time.time()))
