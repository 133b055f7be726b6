"""The devices that a controller knows, and what their presence says."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol
from xml.etree.ElementTree import tostring

from iotxmpp.addresses import DeviceId, bare_jid
from iotxmpp.controller.device import Device
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.rejection import Origin, Rejection
from iotxmpp.errors import InvalidError, NoAnswerError, UnknownDeviceError
from iotxmpp.link import LinkState, Presence
from iotxmpp.liveness import State
from iotxmpp.status import TAG, DeviceStatus, parse_status

log = logging.getLogger(__name__)

MAX_EARLY = 10_000
"""Accounts whose presence is held because discovery may yet find that they are devices."""

MAX_SESSIONS = 16
"""Presences that are held of one of them."""

MOST_NAMED = 20
"""Known devices that an error names."""

News = tuple[Device, Presence]
"""What handlers of presence are told."""


class Watcher(Protocol):
    """Watches the liveness of devices."""

    def watch(self, device: Device) -> None:
        """Begins with a device."""
        ...

    def forget(self, device: Device) -> None:
        """Ends with a device."""
        ...


class _Nobody:
    """Watches nothing."""

    def watch(self, device: Device) -> None:
        """Does nothing."""

    def forget(self, device: Device) -> None:
        """Does nothing."""


class Registry:
    """Devices by id and by JID.

    Args:
        metrics: Where their number and state are shown.
        reject: Takes the rejection of a bad status.
        watcher: Told which devices there are; nobody unless given.
    """

    def __init__(
        self, metrics: Metrics, reject: Callable[[Rejection], None], watcher: Watcher | None = None
    ) -> None:
        self._metrics = metrics
        self._reject = reject
        self._watcher = watcher or _Nobody()
        self._devices: dict[str, Device] = {}
        self._by_jid: dict[str, Device] = {}
        # The server tells presence as soon as ours is there, which can be before discovery's answer.
        self._early: dict[str, dict[str, Presence]] = {}
        self._changed = asyncio.Event()

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices by id."""
        return MappingProxyType(self._devices)

    def device(self, name: str) -> Device:
        """The device of an id.

        Raises:
            UnknownDeviceError: There is none; the text names those that are.
        """
        device = self._devices.get(name)
        if device is None:
            known = ", ".join(sorted(self._devices)[:MOST_NAMED]) or "none yet"
            more = ", …" if len(self._devices) > MOST_NAMED else ""
            raise UnknownDeviceError(f"no device {name!r} is known; known are: {known}{more}")
        return device

    def of(self, jid: str) -> Device | None:
        """The device of a bare or full JID; None for any other account."""
        return self._by_jid.get(_bare(jid))

    def add(self, device: Device) -> list[News]:
        """Adds a device, and takes the presences that came before it was known."""
        self._devices[device.id] = device
        self._by_jid[device.jid] = device
        self._metrics.devices(len(self._devices))
        self._watcher.watch(device)
        changes = [self.take(presence) for presence in self._early.pop(device.jid, {}).values()]
        self.note(device)
        return [change for change in changes if change is not None]

    def remove(self, name: DeviceId) -> None:
        """Forgets a device."""
        device = self._devices.pop(name, None)
        if device is not None:
            del self._by_jid[device.jid]
            self._metrics.devices(len(self._devices))
            self._watcher.forget(device)
            self._metrics.forget(name)

    def take(self, presence: Presence) -> News | None:
        """Takes a presence in; gives what handlers are to be told, if anything."""
        bare = _bare(presence.sender)
        device = self._by_jid.get(bare)
        if device is None:
            self._hold(bare, presence)
            return None
        device.sessions.see(presence, self._status(device, presence))
        device.saw_presence(presence)
        self.note(device)
        return _news(device)

    def link_changed(self, state: LinkState) -> None:
        """Our own link went down or up; handlers are told nothing by that alone."""
        if state.up and not state.resumed:
            self._early.clear()
        for device in self._devices.values():
            if state.up:
                device.sessions.link_up(resumed=state.resumed)
                device.pulse.link_up(resumed=state.resumed)
            else:
                device.sessions.link_down()
                device.pulse.link_down()
            self.note(device)

    def settle(self) -> Iterator[News]:
        """Counts as gone who was seen before this session, and not since; gives what is to be told.

        Who was well before has more time: see `gone`.
        """
        for device in tuple(self._devices.values()):
            change = None if device.pulse.liveness.missed else self.gone(device)
            if change is not None:
                yield change

    def gone(self, device: Device) -> News | None:
        """Counts a device as gone that is not known to be there; gives what is to be told, if anything."""
        device.sessions.settle()
        device.pulse.settle()
        self.note(device)
        return _news(device)

    async def wait_for(
        self, name: str, *, online: bool | None, state: State | None = None, timeout: float | None
    ) -> Device:
        """Waits until a device is known, and so.

        Args:
            name: Its id.
            online: Whether it must be online, or known not to be; None for either.
            state: The state that it must be in, instead; None for any.
            timeout: Seconds to wait; None for ever.

        Raises:
            NoAnswerError: It was not so in time.
        """
        wanted = state or {True: "online", False: "offline", None: "known"}[online]
        try:
            async with asyncio.timeout(timeout):
                while True:
                    device = self._devices.get(name)
                    if device is not None and _is(device, online=online, state=state):
                        return device
                    await self._changed.wait()
        except TimeoutError as error:
            device = self._devices.get(name)
            now = "not known" if device is None else device.state
            raise NoAnswerError(f"device {name!r}: not {wanted} within {timeout} s; it is {now}") from error

    def note(self, device: Device) -> None:
        """A device may have changed: shows it, and wakes who waits for it."""
        self._metrics.device_online(device.id, online=device.online)
        self._metrics.device_problems(device.id, _problems(device))
        self._changed.set()
        self._changed = asyncio.Event()

    def _hold(self, bare: str, presence: Presence) -> None:
        log.debug("presence of %s, which is no known device", presence.sender)
        held = self._early.pop(bare, {})
        held.pop(presence.sender, None)
        if presence.available and len(held) < MAX_SESSIONS:
            held[presence.sender] = presence
        if held and len(self._early) < MAX_EARLY:
            self._early[bare] = held

    def _status(self, device: Device, presence: Presence) -> DeviceStatus | None:
        try:
            return parse_status(presence.extensions)
        except InvalidError as error:
            origin = Origin(device=device.id, node="presence", publisher=presence.sender)
            bad = next(each for each in presence.extensions if each.tag == TAG)
            self._reject(origin.rejection("status", error, tostring(bad, encoding="unicode")))
            return None


def _problems(device: Device) -> int:
    """How many its presence tells; 0 of a device that is away, of which nobody knows what works."""
    status = device.status if device.online or device.state == "sleeping" else None
    return 0 if status is None else len(status.problems)


def _is(device: Device, *, online: bool | None, state: State | None) -> bool:
    if state is not None:
        return device.state == state
    return online is None or (device.state != "unknown" and device.online == online)


def _news(device: Device) -> News | None:
    presence = device.sessions.news()
    return None if presence is None else (device, presence)


def _bare(jid: str) -> str:
    try:
        return bare_jid(jid)
    except InvalidError:
        return jid
