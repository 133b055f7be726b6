"""What comes from devices goes in here: checked, counted, kept, and given to handlers."""

import logging
import time

from iotxmpp.controller.description import check_about
from iotxmpp.controller.device import Device
from iotxmpp.controller.dispatch import Dispatcher
from iotxmpp.controller.ingest import check_pack
from iotxmpp.controller.items import Refused, origin_of
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.writer import RejectionWriter
from iotxmpp.link import Item

log = logging.getLogger(__name__)


class Rejections:
    """Takes every rejection: told at once, counted, and kept."""

    def __init__(self, metrics: Metrics, writer: RejectionWriter) -> None:
        self._metrics = metrics
        self._writer = writer

    def take(self, rejection: Rejection) -> None:
        """Takes one; never waits."""
        log.warning("rejected: %s", rejection)
        self._metrics.rejected(rejection.device, rejection.code)
        self._writer.keep(rejection)


class Intake:
    """Takes the items of devices' nodes."""

    def __init__(self, metrics: Metrics, rejections: Rejections, dispatcher: Dispatcher) -> None:
        self._metrics = metrics
        self._rejections = rejections
        self._dispatcher = dispatcher
        self._bad_abouts: dict[str, str] = {}

    async def pack(self, device: Device, item: Item) -> None:
        """Takes an item of a device's readings node; waits while a handler's queue is full."""
        now = time.time()
        checked = check_pack(item, device, now)
        for rejection in checked.rejections:
            self._rejections.take(rejection)
        self._metrics.pack(device.id, len(checked.readings))
        if not checked.readings:
            return
        device.hear(checked.readings)
        for reading in checked.readings:
            self._metrics.reading(device.id, reading, now, described=device.about is not None)
        await self._dispatcher.readings(device, origin_of(item, device), checked.readings)

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
