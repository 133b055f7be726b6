"""Puts parcels on the wire, none larger than the server takes."""

from xml.etree.ElementTree import Element

from iotxmpp import crashpoints
from iotxmpp.addresses import DeviceId, NodeAddress
from iotxmpp.agent.line import Line, Parcel
from iotxmpp.agent.packbound import PackBound, is_too_large
from iotxmpp.link import Link
from iotxmpp.payloads import pack_element, wire_size
from iotxmpp.senml import encode_plain, item_id


class Sender:
    """Publishes single items on the device's node of readings."""

    def __init__(self, link: Link, *, node: NodeAddress, device: DeviceId, line: Line) -> None:
        """Makes one.

        Args:
            link: Where to publish.
            node: The device's node of readings.
            device: The device's id.
            line: What cuts the packs; it is told how large they may be.
        """
        self._link = link
        self._node = node
        self._device = device
        self._line = line
        self._bound = PackBound()

    def begin_session(self) -> None:
        """A session began, perhaps with another server's limits."""
        self._bound.session(self._link.limits)
        self._line.most_bytes = self._bound.bytes

    async def publish(self, parcel: Parcel) -> None:
        """Publishes one; returns when the service has accepted it.

        Raises:
            IotxmppError: As `Link.publish` does.
        """
        payload = self._payload(parcel)
        await self._link.publish(self._node, payload, item_id=_identity(parcel))
        self._bound.accepted(wire_size(payload))
        if parcel.pack is not None and parcel.pack.last > self._line.keeper.settled_place:
            crashpoints.at("uncommitted")
        crashpoints.at("published")

    def refused(self, parcel: Parcel, error: Exception) -> None:
        """That parcel alone was not accepted: if it was too large, others will be smaller."""
        if parcel.pack is not None and is_too_large(error):
            self._bound.refused(wire_size(self._payload(parcel)))
            self._line.most_bytes = self._bound.bytes

    def _payload(self, parcel: Parcel) -> Element:
        pack, gap = parcel.pack, parcel.gap
        if pack is not None:
            return pack_element(encode_plain(pack.readings, device=self._device, clock=pack.clock))
        if gap is None:
            raise AssertionError("a parcel holds a pack or a gap record")
        return gap.element()


def _identity(parcel: Parcel) -> str:
    """The item's id, which names its first number."""
    if parcel.pack is not None:
        return item_id(parcel.pack.epoch, parcel.pack.first_seq)
    return item_id(parcel.gap.epoch, parcel.gap.first) if parcel.gap is not None else ""
