"""A whole simulation at a server: devices added, run, and removed again where that is wanted."""

import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, domain
from iotxmpp.simulation.driver import Course
from iotxmpp.simulation.fleet import Fleet, Stopwatch
from iotxmpp.simulation.folder import Folder, opened
from iotxmpp.simulation.order import Member
from iotxmpp.simulation.provision import provision, remove
from iotxmpp.simulation.truth import truth_file
from iotxmpp.simulation.unit import Unit
from iotxmpp.simulation.venue import Venue


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How a simulation is to run.

    Attributes:
        members: The devices; none to remove those of before.
        controllers: The bare JIDs that they obey; `controller@` the server's domain unless given.
        since: What time it is for the signals at the start, in seconds since 1970; None for now.
        speed: How many times faster that time runs.
        every: Seconds between values of every channel; None for what the profiles say.
        truth: The file that tells which fault is on when.
        on_disk: Whether outboxes are in the folder, and not in memory.
    """

    members: tuple[Member, ...]
    controllers: tuple[str, ...] = ()
    since: float | None = None
    speed: float = 1.0
    every: float | None = None
    truth: Path | None = None
    on_disk: bool = False


class Simulation:
    """A simulation, from enter to exit: `async with` starts the server and adds the devices.

    Attributes:
        venue: The server; known once it is entered.
        fleet: The devices, to be run; likewise.
    """

    venue: Venue
    fleet: Fleet

    def __init__(self, venue: AbstractAsyncContextManager[Venue], wishes: Wishes) -> None:
        """Makes it; nothing is started yet.

        Args:
            venue: The server, not yet entered.
            wishes: How it is to run.
        """
        self._coming = venue
        self._wishes = wishes
        self._stack = AsyncExitStack()
        self._folder = Folder(Path())

    async def __aenter__(self) -> Self:
        """Starts the server, and adds the devices that are not there.

        Raises:
            ConfigError: The folder or the truth file cannot be used.
            ConflictError: A device is there that is not of this folder.
            ConnectError: The server cannot be reached.
            NotAllowedError: The account is no administrator's.
        """
        async with AsyncExitStack() as stack:
            truth = stack.enter_context(truth_file(self._wishes.truth))
            self.venue = await stack.enter_async_context(self._coming)
            self._folder = stack.enter_context(opened(self.venue.folder))
            watch = Stopwatch()
            accounts = await self._accounts()
            course = Course(since=self._since(), speed=self._wishes.speed)
            units = [self._unit(member, accounts[member.device], course, watch) for member in self._members]
            self.fleet = Fleet(units, truth, watch)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go of the folder, and of the server."""
        await self._stack.aclose()

    async def remove(self) -> int:
        """Removes all devices of the folder from the server; returns how many."""
        async with self.venue.provisioner() as provisioner:
            return await remove(provisioner, self.venue.admin, self._folder)

    @property
    def _members(self) -> tuple[Member, ...]:
        return self._wishes.members

    def _since(self) -> float:
        return time.time() if self._wishes.since is None else self._wishes.since

    async def _accounts(self) -> dict[DeviceId, Account]:
        admin = self.venue.admin
        controllers = self._wishes.controllers or (f"controller@{domain(admin.jid)}",)
        devices = [member.device for member in self._members]
        async with self.venue.provisioner() as provisioner:
            return await provision(provisioner, admin, self._folder, devices, controllers)

    def _unit(self, member: Member, account: Account, course: Course, watch: Stopwatch) -> Unit:
        return Unit(
            member,
            account,
            self.venue.link(account),
            course=course,
            elapsed=watch.elapsed,
            outbox=self._folder.outbox(member.device, on_disk=self._wishes.on_disk),
            every=self._wishes.every,
        )
