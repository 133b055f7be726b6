"""A controller that runs: everything between the opening of its store and the end of its link."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.access import Access
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, device_of_node, domain
from iotxmpp.controller.acks import Acks
from iotxmpp.controller.declared import ChangeHandler, ReadingHandler
from iotxmpp.controller.desk import Desk
from iotxmpp.controller.desk_door import open_desk
from iotxmpp.controller.device import Device
from iotxmpp.controller.discovery import Discovery
from iotxmpp.controller.dispatch import Dispatcher
from iotxmpp.controller.early import Early
from iotxmpp.controller.intake import Intake, Rejections
from iotxmpp.controller.jobs import Sink
from iotxmpp.controller.liveness import Monitor
from iotxmpp.controller.membership import Membership
from iotxmpp.controller.metrics import Metrics
from iotxmpp.controller.queue import Queue
from iotxmpp.controller.registry import News, Registry
from iotxmpp.controller.store import StateChange
from iotxmpp.controller.store.commands import CommandRows
from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.controller.twin import Twins
from iotxmpp.fleet import controller_element
from iotxmpp.link import Item, Link, LinkState, Presence
from iotxmpp.liveness import Change
from iotxmpp.serving.audit import Audit
from iotxmpp.twin import Twin

log = logging.getLogger(__name__)

_HEARD = ("readings", "about")

SETTLE = 5.0
"""Seconds after which the server has told the presence of everybody who is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """The part of the store that keeps the queue of commands, and twins.

    Attributes:
        rows: The commands.
        twins: The twins.
        between: Does blocking work of the store's, in its turn.
        audit: Where it is written down who did what; None where that cannot be done, and so no desk is open.
        access: Who may come to the desk, and may do what.
    """

    rows: CommandRows
    twins: TwinRows
    audit: Audit | None = None
    access: Access
    between: Callable[[Callable[[], Any]], Awaitable[Any]]


class Session:
    """One run of a controller.

    Args:
        account: The controller's account.
        link: The link, open.
        metrics: The metrics.
        sink: Where readings and rejections go.
        acknowledges: Devices are told what is in there.
        keeping: Where commands wait; None for no queue.
        named: The JIDs of the only devices, by id; None for all.
        readings: The handlers of readings.
        presences: The handlers of presence.
        livenesses: The handlers of changes of liveness.
        twins: The handlers of changes of twins.
        every: Seconds from one discovery to the next.
    """

    def __init__(  # noqa: PLR0913  # one each of what it ties together
        self,
        *,
        account: Account,
        link: Link,
        metrics: Metrics,
        sink: Sink,
        acknowledges: bool,
        keeping: Keeping | None,
        named: Mapping[DeviceId, str] | None,
        readings: Sequence[ReadingHandler],
        presences: Sequence[ChangeHandler[Presence]],
        livenesses: Sequence[ChangeHandler[Change]],
        twins: Sequence[ChangeHandler[Twin]] = (),
        every: float,
    ) -> None:
        self._account = account
        self._link = link
        self._metrics = metrics
        self._named = named
        self._keeping = keeping
        self._handlers = readings, presences, livenesses
        self._twin_handlers = twins
        self._every = every
        self._sink = sink
        self._acknowledges = acknowledges
        self._acks: Acks | None = None
        self._rejections = Rejections(metrics, sink)
        self._monitor = Monitor(
            link=link,
            server=domain(account.jid),
            metrics=metrics,
            changed=self._changed,
            tell=self._tell_change,
            keep=self._keep_change,
        )
        self.registry = Registry(metrics, self._rejections.take, self._monitor)
        self.queue: Queue | None = None
        if keeping is not None:
            self.queue = Queue(
                rows=keeping.rows,
                between=keeping.between,
                link=link,
                find=self.registry.devices.get,
                counts=metrics,
            )
        self.twins = Twins(
            link,
            service=account.service,
            rows=None if keeping is None else keeping.twins,
            between=None if keeping is None else keeping.between,
            reject=self._rejections.take,
            tell=self._tell_twin,
        )
        self._early = Early(metrics.early_lost)
        self._settling: asyncio.Task[None] | None = None

    async def open(self, stack: AsyncExitStack) -> None:
        """Makes the first discovery, and goes on from there; the stack takes it all back."""
        link = self._link
        self._dispatcher = Dispatcher(
            *self._handlers, self._metrics, self._rejections.take, twins=self._twin_handlers
        )
        stack.push_async_callback(self._dispatcher.close)
        stack.callback(self._early.close)
        self._monitor.open()
        stack.push_async_callback(self._monitor.close)
        # What was taken in is committed and with the handlers before these end.
        stack.push_async_callback(self._sink.drain)
        if self._acknowledges:
            self._acks = Acks(link, self._metrics, self._sink.upto)
            stack.push_async_callback(self._acks.close)
        if self.queue is not None:
            stack.push_async_callback(self.queue.close)
        stack.push_async_callback(self.twins.close)
        self._intake = Intake(self._metrics, self._rejections, self._dispatcher, self._sink, self._acks)
        self._discovery = Discovery(
            link=link,
            service=self._account.service,
            named=None if self._named is None else [self._member(*each) for each in self._named.items()],
            member=self._member_found,
            registry=self.registry,
            early=self._early,
            tell=self._tell,
        )
        stack.callback(self._discovery.leave_all)
        stack.callback(link.on_unclaimed(self._take_early))
        stack.callback(link.on_presence(self._take_presence))
        stack.callback(link.on_state(self._link_changed))
        self._link_changed(link.state)
        stack.push_async_callback(self._stop_settling)
        if self.queue is not None:
            # Nothing is awaited before here: the server tells presence at once, and nobody would hear it.
            await self.queue.open()
        await link.announce(Presence(extensions=await self._open_desk(stack)))
        await self._discovery.round()
        task = asyncio.create_task(self._discovery.run(self._every), name="iotxmpp discovery")
        stack.push_async_callback(end, task)

    async def _open_desk(self, stack: AsyncExitStack) -> tuple[Element, ...]:
        """Opens the desk, if there can be one; gives what the presence says of it."""
        if self.queue is None or self._keeping is None or self._keeping.audit is None:
            return ()
        desk = Desk(
            own=self._account.jid,
            queue=self.queue,
            device=self.registry.device,
            devices=self.registry.devices.values,
            access=self._keeping.access,
        )
        await open_desk(stack, self._link, desk, self._keeping.audit)
        return (controller_element(),)

    def _member(self, name: DeviceId, jid: str) -> Membership:
        on_command = self._metrics.command
        device = Device(name, jid, link=self._link, on_command=on_command, queue=self.queue, twins=self.twins)
        return Membership(
            device,
            service=self._account.service,
            link=self._link,
            intake=self._intake,
            early=self._early,
            twins=self.twins,
        )

    def _member_found(self, name: DeviceId) -> Membership:
        return self._member(name, f"{name}@{domain(self._account.jid)}")

    async def _take_early(self, item: Item) -> None:
        """Takes an item of a node that no device's membership covers."""
        found = device_of_node(item.node.node) if item.node.service == self._account.service else None
        ours = found is not None and (self._named is None or found[0] in self._named)
        if found is None or not ours or found[1] not in _HEARD:
            log.debug("an item of %s, which is no node of a device of ours", item.node)
            return
        if not self._early.hold(found[0], item):
            self._early.lose(found[0], 1, "too many wait already")
        if self._early.asks(found[0]):
            self._discovery.hurry(found[0])

    async def _take_presence(self, presence: Presence) -> None:
        change = self.registry.take(presence)
        device = self.registry.of(presence.sender)
        if device is not None and self._acks is not None:
            self._acks.look(device)
        if device is not None:
            self._look(device)
            self.twins.look(device)
        if change is not None:
            await self._tell(change)

    async def _tell(self, change: News) -> None:
        await self._dispatcher.presence(*change)

    def _changed(self, device: Device) -> None:
        self.registry.note(device)
        self._look(device)

    def _look(self, device: Device) -> None:
        if self.queue is not None:
            self.queue.look(device.id)

    async def _tell_twin(self, device: Device, twin: Twin) -> None:
        await self._dispatcher.twin(device, twin)

    async def _tell_change(self, device: Device, change: Change) -> None:
        await self._dispatcher.liveness(device, change)
        news = self.registry.gone(device) if change.new == "lost" else None
        if news is not None:  # not back after our own link: presence handlers did not know it yet
            await self._tell(news)

    def _keep_change(self, device: str, change: Change) -> None:
        self._sink.keep(StateChange(device=device, state=change.new, why=change.why, time=change.at))

    def _link_changed(self, state: LinkState) -> None:
        self._metrics.link_up(up=state.up)
        self.registry.link_changed(state)
        if self.queue is not None:
            self.queue.look_all()
        self.twins.link_changed(state)
        if not state.up:
            log.warning("the link is down: %s", state.reason)
            return
        if not state.resumed:
            if self._acks is not None:
                self._acks.look_all()
            self._discovery.renew()
            if self._settling is not None:
                self._settling.cancel()
            self._settling = asyncio.create_task(self._settle(), name="iotxmpp presence settles")

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLE)
        for change in self.registry.settle():
            await self._tell(change)

    async def _stop_settling(self) -> None:
        if self._settling is not None:
            await end(self._settling)


async def end(task: asyncio.Task[None]) -> None:
    """Cancels a task, and waits for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
