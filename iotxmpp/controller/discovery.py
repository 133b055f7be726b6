"""Finds the controller's devices on the PubSub service, again and again, and subscribes to them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from iotxmpp.addresses import DeviceId, device_of_node
from iotxmpp.controller.early import Early
from iotxmpp.controller.membership import Membership
from iotxmpp.controller.registry import News, Registry
from iotxmpp.errors import ForbiddenError, IotxmppError, LinkDownError, NotFoundError
from iotxmpp.link import Link

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Devices that are subscribed to side by side; each has one request under way."""

LEAST_GAP = 1.0
"""Seconds at least from the end of a round to one that a device's item asks for."""

MOST_SKIPPED = 32
"""Rounds that pass at most before what failed for a device is tried again."""


@dataclass(kw_only=True, slots=True)
class _Pause:
    """Lets rounds pass between attempts, each time twice as many."""

    next: int = 1
    left: int = 0

    def is_over(self) -> bool:
        """Whether to try in this round."""
        if self.left == 0:
            return True
        self.left -= 1
        return False

    def start(self) -> None:
        """After an attempt that failed."""
        self.left = self.next
        self.next = min(MOST_SKIPPED, self.next * 2)


class Discovery:
    """Keeps the memberships in step with the nodes that the service shows us.

    Args:
        link: The link.
        service: The PubSub service.
        named: The memberships of the devices to join; None for every device whose nodes we may read.
        member: Makes the membership of a device that was found.
        registry: Where devices that are ours go.
        early: What came of devices that are not joined.
        tell: Told of presences that were waiting for a device.
    """

    def __init__(  # noqa: PLR0913  # one each of what it ties together
        self,
        *,
        link: Link,
        service: str,
        named: Iterable[Membership] | None,
        member: Callable[[DeviceId], Membership],
        registry: Registry,
        early: Early,
        tell: Callable[[News], Awaitable[None]],
    ) -> None:
        self._link = link
        self._service = service
        self._named = None if named is None else {each.device.id: each for each in named}
        self._member = member
        self._registry = registry
        self._early = early
        self._tell = tell
        self._joined: dict[DeviceId, Membership] = {}
        self._failing: dict[DeviceId, _Pause] = {}
        self._unseen: dict[DeviceId, _Pause] = {}
        self._renewed = False
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._ended = 0.0
        self._problem = ""
        for each in (self._named or {}).values():
            registry.add(each.device)

    def renew(self) -> None:
        """A new session began: fetch what it may have missed, and try again what failed."""
        self._renewed = True
        self._failing.clear()
        self._unseen.clear()
        self._wake.set()
        self._urgent.set()

    def hurry(self, name: DeviceId) -> None:
        """Something came of a device that is not joined: makes a round soon, and tries this device in it."""
        self._failing.pop(name, None)
        self._wake.set()

    async def run(self, every: float) -> None:
        """Makes a round each so many seconds, at each new session, and in a hurry, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._wake.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._ended + min(LEAST_GAP, every)):
                    await self._urgent.wait()
            try:
                await self.round()
            except Exception:
                log.exception("discovery failed; it goes on")

    async def round(self) -> None:
        """Joins the devices that are new, and leaves those whose nodes are gone."""
        self._wake.clear()
        self._urgent.clear()
        try:
            await self._round()
        finally:
            self._ended = asyncio.get_running_loop().time()

    def leave_all(self) -> None:
        """Ends all handlers."""
        for membership in self._joined.values():
            membership.leave()
        self._joined.clear()

    async def _round(self) -> None:
        renewed, self._renewed = self._renewed, False
        wanted = await self._wanted()
        if wanted is None:
            self._renewed = self._renewed or renewed
            return
        self._early.forget_strangers(wanted)
        await self._leave([name for name in self._joined if name not in wanted])
        if renewed:
            await _side_by_side(self._refresh, list(self._joined.values()))
        new = [name for name in wanted if name not in self._joined and self._is_due(name)]
        await _side_by_side(self._join, [self._membership(name) for name in new])
        await self._follow_unseen()

    async def _wanted(self) -> list[DeviceId] | None:
        """The devices that should be joined; None while nobody can say."""
        if self._named is not None:
            return list(self._named)
        try:
            nodes = await self._link.nodes(self._service)
        except IotxmppError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("%s does not say which nodes it has: %s; asking again", self._service, error)
            return None
        self._problem = ""
        kinds: dict[DeviceId, set[str]] = {}
        for address in nodes:
            found = device_of_node(address.node)
            if found is not None:
                kinds.setdefault(found[0], set()).add(found[1])
        return [name for name, has in kinds.items() if {"readings", "about"} <= has]

    def _membership(self, name: DeviceId) -> Membership:
        return self._member(name) if self._named is None else self._named[name]

    def _is_due(self, name: DeviceId) -> bool:
        return name not in self._failing or self._failing[name].is_over()

    async def _join(self, membership: Membership) -> None:
        device = membership.device
        changes: list[News] = []
        try:
            await membership.describe()
            if self._named is None:
                changes = self._registry.add(device)
            await membership.listen()
        except BaseException as error:
            membership.leave()
            if self._named is None:
                self._registry.remove(device.id)
            if not isinstance(error, IotxmppError):
                raise
            self._failed(device.id, error)
            return
        self._joined[device.id] = membership
        self._failing.pop(device.id, None)
        log.info("device %s joined", device.id)
        for change in changes:
            await self._tell(change)

    def _failed(self, name: DeviceId, error: IotxmppError) -> None:
        if isinstance(error, LinkDownError):
            return
        refused = isinstance(error, ForbiddenError | NotFoundError)
        if not refused:
            log.warning("device %s cannot be joined: %s; trying again", name, error)
        elif self._named is None:
            log.debug("device %s is not ours: %s", name, error)
        elif name not in self._failing:
            log.warning(
                "device %s: its nodes at %s cannot be read: %s; trying again", name, self._service, error
            )
        self._failing.setdefault(name, _Pause()).start()

    async def _refresh(self, membership: Membership) -> None:
        try:
            await membership.refresh()
        except LinkDownError:
            self._renewed = True
        except IotxmppError as error:
            log.warning("device %s: its description cannot be fetched: %s", membership.device.id, error)

    async def _follow_unseen(self) -> None:
        """Asks again to see those who have no session: a device may have refused before it knew us."""
        for name, membership in tuple(self._joined.items()):
            if membership.device.sessions.current is not None:
                self._unseen.pop(name, None)
                continue
            pause = self._unseen.setdefault(name, _Pause(left=1))
            if pause.is_over():
                pause.start()
                with suppress(LinkDownError):  # the next session asks again
                    await self._link.follow(membership.device.jid)

    async def _leave(self, names: list[DeviceId]) -> None:
        for name in names:
            membership = self._joined.pop(name)
            self._unseen.pop(name, None)
            membership.leave()
            self._registry.remove(name)
            log.info("device %s is gone: the service shows its nodes no more", name)
            try:
                await self._link.unfollow(membership.device.jid)
            except IotxmppError as error:
                log.debug("device %s cannot be unfollowed: %s", name, error)


async def _side_by_side(
    work: Callable[[Membership], Awaitable[None]], memberships: Iterable[Membership]
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(membership: Membership) -> None:
        async with gate:
            await work(membership)

    async with asyncio.TaskGroup() as group:
        for membership in memberships:
            group.create_task(one(membership))
