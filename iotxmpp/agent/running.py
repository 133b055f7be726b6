"""An agent while it runs: its link, its tasks, and what happens at each new session."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from iotxmpp.account import Account
from iotxmpp.agent.acks import AckServer
from iotxmpp.agent.clock import Clock
from iotxmpp.agent.commanding import Commanding, Latest
from iotxmpp.agent.intake import Intake, check_time
from iotxmpp.agent.introduction import Introduction
from iotxmpp.agent.line import Line
from iotxmpp.agent.notify import Pulse
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.safe import SafeOutbox
from iotxmpp.agent.plan import Plan
from iotxmpp.agent.presence import Problems, StatusReporter
from iotxmpp.agent.publisher import Publisher
from iotxmpp.agent.sampling import Sampler
from iotxmpp.agent.sensors import Sensor
from iotxmpp.agent.tasks import Tasks
from iotxmpp.agent.twin import device_twin
from iotxmpp.backoff import Backoff
from iotxmpp.commands import CALL_NAMESPACE, COMMANDS_NAMESPACE
from iotxmpp.delivery import ACK_TAG
from iotxmpp.delivery import NAMESPACE as DELIVERY_NAMESPACE
from iotxmpp.errors import (
    CertificateError,
    ConnectError,
    CredentialsError,
    InvalidError,
    OutboxFullError,
    SecurityError,
)
from iotxmpp.link import Cancel, Link
from iotxmpp.readings import Value
from iotxmpp.status import NAMESPACE as STATUS_NAMESPACE
from iotxmpp.twin import DESIRED_TAG
from iotxmpp.version import VERSION

if TYPE_CHECKING:
    from iotxmpp.serving.alarms import Alarms

DRAIN = 2.0
"""Seconds that an agent takes at most, when it ends, to send what is left."""

STUCK_AFTER = 60.0
"""Seconds after which sampling counts as dead, if not one sensor's function has returned."""

NODE_PATIENCE = 30.0
"""Seconds at most between two attempts to publish to a node that is not there, or not ours."""

_LOGGER = logging.getLogger(__name__)


class Running:
    """One run of an agent, from `open` to `close`.

    Attributes:
        plan: What was declared.
        keeper: Readings that wait.
        problems: What does not work.
        intake: Takes readings that a program hands over one by one; once it is `opened`.
        opened: Whether readings can be taken: the outbox is open.
        begun: Whether sampling has begun.
    """

    def __init__(
        self,
        plan: Plan,
        link: Link,
        *,
        owns_link: bool,
        clock: Clock,
        backoff: Callable[..., Backoff] = Backoff,
    ) -> None:
        """Makes one.

        Args:
            plan: What was declared.
            link: Where to be heard.
            owns_link: Whether the link is opened and closed here.
            clock: The device's clocks.
            backoff: Makes the delays between attempts.
        """
        self.plan = plan
        self.problems = Problems()
        self.opened = False
        self.begun = False
        self.keeper = _keeper(plan, self.problems, clock, backoff)
        self._link = link
        self._owns_link = owns_link
        self._backoff = backoff
        self._latest: Latest = {}
        self._commands = Commanding(
            link,
            plan,
            problems=self.problems,
            clock=clock,
            latest=self._latest,
            status=lambda: self.reporter.status("heartbeat"),
        )
        self._introduction = Introduction(
            link, plan=plan, problems=self.problems, backoff=backoff(longest=NODE_PATIENCE)
        )
        self.intake = Intake(plan, self.keeper, self._latest)
        self._line = Line(keeper=self.keeper, settings=plan.outbox)
        self._publisher = Publisher(
            link,
            node=plan.nodes.readings,
            device=plan.device,
            line=self._line,
            collected=bool(plan.collector),
            problems=self.problems,
            ready=self._introduction.done,
            backoff=backoff(longest=NODE_PATIENCE),
        )
        self._acks = AckServer(
            self.keeper,
            self._line,
            collector=plan.collector,
            acknowledged=self._publisher.acknowledged,
            records=self._commands.records,
        )
        self._samplers = [Sampler(each, take=self.take, problems=self.problems) for each in plan.sensors]
        self._twin = device_twin(
            link,
            plan,
            change=self._set_every,
            records=self._commands.records,
            problems=self.problems,
            ready=self._introduction.done,
            backoff=backoff(longest=NODE_PATIENCE),
        )
        self._registrations: list[Cancel] = []
        self._resources = AsyncExitStack()
        self._tasks = Tasks()
        self._sampling: list[asyncio.Task[None]] = []
        self.reporter = StatusReporter(
            link,
            heartbeat=plan.heartbeat,
            version=VERSION,
            sensors=len(plan.channels),
            outbox=self.keeper,
            problems=self.problems,
        )

    async def open(self, *, wait: bool) -> None:
        """Starts sampling, then connects, then serves and publishes.

        Args:
            wait: Whether to try again while the server cannot be reached.

        Raises:
            ConnectError: The link could not be opened.
            StoreError: The outbox's file is another agent's, another program's, or of another version.
        """
        if not self.plan.controllers:
            _LOGGER.warning(
                "%s has no controllers: nobody may call it or see it; add them to its account",
                self.plan.device,
            )
        await self.keeper.open()
        self.opened = True
        try:
            self._tasks.start(self.keeper.run(), "outbox")
            await self._commands.open()
            for resource in self.plan.resources:
                await self._resources.enter_async_context(resource)
            await self._twin.open()
            self._sampling = [
                self._tasks.start(sampler.run(), f"sensor {sensor.label}")
                for sampler, sensor in zip(self._samplers, self.plan.sensors, strict=True)
            ]
            self.begun = True
            self._register()
            if self._owns_link:
                await self._connect(wait=wait)
            else:
                await self.reporter.start()
            self._tasks.start(self._introduction.run(), "introduction")
            self._tasks.start(self.reporter.run(), "presence")
            self._tasks.start(self._publisher.run(), "publisher")
            self._tasks.start(self._twin.run(), "twin")
        except BaseException:
            await self._end()
            raise

    async def close(self) -> None:
        """Stops sampling, sends what is left if that goes quickly, says goodbye, and ends every task."""
        try:
            if self._sampling:
                await self._tasks.cancel(*self._sampling)
            await self._commands.close()
            await self.keeper.flush()
            await self._drain()
            await self._tasks.cancel()
            await self.reporter.stop()
        finally:
            await self._end()

    def pulse(self) -> Pulse:
        """How it is, for who watches over the process."""
        silent = min((sampler.silent() for sampler in self._samplers), default=0.0)
        link = self._link.state
        held, problems = self.keeper.held, len(self.problems.texts())
        parts = [
            "connected" if link.up else f"not connected: {link.reason}",
            f"{len(self._samplers)} sensors",
            f"{held} readings wait",
            *([f"{problems} problems"] if problems else []),
        ]
        return Pulse(begun=self.begun, alive=silent < STUCK_AFTER, text=", ".join(parts))

    async def failure(self) -> None:
        """Returns never; raises what a task failed with."""
        await self._tasks.failure()

    @cached_property
    def alarms(self) -> "Alarms":
        """What writes to people."""
        # Memory that a device takes only where it has something to say.
        from iotxmpp.serving.alarms import Alarms  # noqa: PLC0415  # see above

        return Alarms(self.plan.people, self._link.send)

    def take(self, values: Mapping[str, Value], at: float | None = None) -> None:
        """Takes the checked values of one sample, to be kept soon and published.

        Args:
            values: The values by channel.
            at: When they were read, in seconds since 1970 (UTC); None for now.

        Raises:
            InvalidError: The time is none that SenML carries.
            OutboxFullError: There is no room, and the policy is to keep what is there.
        """
        self.keeper.take(self._with_units(values, at), at, urgent=self.plan.is_urgent(values))

    def take_soon(self, values: Mapping[str, Value], at: float | None = None) -> None:
        """As `take`, for whoever cannot be told of an error: it becomes a problem."""
        key = f"publish {', '.join(values)}"
        try:
            self.take(values, at)
        except (InvalidError, OutboxFullError) as error:
            self.problems.report(key, str(error))
        else:
            self.problems.clear(key)

    def _with_units(
        self, values: Mapping[str, Value], at: float | None
    ) -> dict[str, tuple[Value, str | None]]:
        if at is not None:
            check_time(at)
        read = {name: (value, self.plan.channels[name].unit) for name, value in values.items()}
        self._latest.update(read)
        return read

    def _set_every(self, sensor: Sensor, seconds: float | None) -> None:
        for sampler, sampled in zip(self._samplers, self.plan.sensors, strict=True):
            if sampled is sensor:
                sampler.set_every(seconds)

    def _register(self) -> None:
        self._link.advertise(COMMANDS_NAMESPACE, CALL_NAMESPACE, STATUS_NAMESPACE, DELIVERY_NAMESPACE)
        # Its account is the device's alone: who was a contact of it before, and may not observe it, is none.
        self._link.admit(lambda jid: self.plan.access.observes(jid, self.plan.device), withdraw=True)
        self._registrations += [
            self._link.on_state(self._publisher.state_changed),
            self._link.on_state(self._introduction.state_changed),
            self._link.on_state(self._twin.state_changed),
            self._link.serve(ACK_TAG, self._acks.answer),
            self._link.serve(DESIRED_TAG, self._twin.answer),
            *self._commands.register(),
        ]

    async def _connect(self, *, wait: bool) -> None:
        backoff = self._backoff()
        while True:
            # Announced before there is a session: so the first presence that anybody sees tells how we are.
            await self.reporter.start()
            try:
                await self._link.__aenter__()
            except (CertificateError, CredentialsError, SecurityError):
                raise
            except ConnectError as error:
                if not wait:
                    raise
                delay = backoff.next_delay()
                _LOGGER.warning("%s; trying again in %.0f s", error, delay)
                await asyncio.sleep(delay)
            else:
                self._resources.push_async_exit(self._link)
                return

    async def _drain(self) -> None:
        """Publishes what is left; on disk all but a little can wait for the next start."""
        if self._introduction.done.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN):
                    await self._publisher.drained()
        if self.keeper.held and self.plan.collector:
            safe = self.keeper.state == "disk"
            _LOGGER.log(
                logging.INFO if safe else logging.WARNING,
                "%d readings are not acknowledged; %s",
                self.keeper.held,
                "they wait on disk" if safe else "they are lost if they did not arrive",
            )

    async def _end(self) -> None:
        for cancel in self._registrations:
            cancel()
        try:
            await self._tasks.cancel()
        finally:
            try:
                await self._commands.close()
                await self._resources.aclose()
            finally:
                await self.keeper.close()


def _keeper(plan: Plan, problems: Problems, clock: Clock, backoff: Callable[..., Backoff]) -> Keeper:
    settings = plan.outbox
    limits = settings.limits(plan.when_full)
    outbox = SafeOutbox(
        settings.file(plan.account.jid, plan.device),
        limits=limits,
        memory_limits=limits.model_copy(update={"bytes": settings.memory_bytes}),
        problems=problems,
        backoff=backoff,
    )
    return Keeper(outbox, clock=clock, epoch=secrets.token_hex(6))


def open_link(account: Account) -> Link:
    """The link to a real server."""
    from iotxmpp.xmpp import XmppLink  # noqa: PLC0415  # an agent on another link never loads slixmpp

    return XmppLink(account)
