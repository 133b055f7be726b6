"""One simulated device at a server: its agent, its link, and what became of them."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from iotxmpp.account import Account
from iotxmpp.agent.agent import Agent
from iotxmpp.agent.drivers import Driver
from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.agent.profiled import equip
from iotxmpp.backoff import Backoff
from iotxmpp.errors import CertificateError, ConnectError, CredentialsError, IotxmppError, SecurityError
from iotxmpp.link import LinkState
from iotxmpp.simulation.driver import Course, FleetDriver
from iotxmpp.simulation.links import AnyLink, cut_for
from iotxmpp.simulation.order import Member

BACK_WITHIN = 20.0
"""Seconds that a device that was cut off on purpose has to come back."""


class Unit:
    """A device that runs.

    Attributes:
        member: What it simulates.
        tally: What it did.
        seen: Whether it ever was online.
        lost: How often it lost its connection without being told to.
        error: Why it is not there; empty where nothing is known.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        member: Member,
        account: Account,
        link: AnyLink,
        *,
        course: Course,
        elapsed: Callable[[], float],
        outbox: OutboxSettings,
        every: float | None = None,
    ) -> None:
        """Makes it; nothing runs yet.

        Args:
            member: What it simulates.
            account: Its account.
            link: Its link, not yet entered.
            course: How the time of its signals runs.
            elapsed: Gives the seconds since the start.
            outbox: How its outbox is set up.
            every: Seconds between values of every channel; what the profile says unless given.
        """
        self.member = member
        self.seen = False
        self.lost = 0
        self.error = ""
        self._link = link
        self._away_until = 0.0
        self._closing = False
        driver = FleetDriver(
            member.profile, name=member.seed, course=course, elapsed=elapsed, fault=member.fault
        )
        self.tally = driver.tally
        self._agent = Agent(account, device=member.device, site="simulation", link=link, outbox=outbox)
        equip(self._agent, member.profile, partial(_same, driver), every=every)

    @property
    def online(self) -> bool:
        """Whether it has a session with the server."""
        return self._link.state.up

    @property
    def excused(self) -> bool:
        """Whether it was told to be offline, now or just before."""
        return time.monotonic() < self._away_until

    def cut_for(self, seconds: float) -> None:
        """Takes it off the network for so long."""
        self._away_until = time.monotonic() + seconds + BACK_WITHIN
        cut_for(self._link, seconds)

    async def live(self, delay: float) -> None:
        """Starts after the delay, and runs until it is cancelled; what cannot be put right ends it, too."""
        await asyncio.sleep(delay)
        backoff = Backoff(longest=30.0)
        cancel = self._link.on_state(self._changed)
        try:
            while True:
                try:
                    await self._once()
                except (CertificateError, CredentialsError, SecurityError) as error:
                    self.error = str(error)
                    return
                except ConnectError as error:
                    self.error = str(error)
                except IotxmppError as error:
                    self.error = str(error)
                    return
                await asyncio.sleep(backoff.next_delay())
        finally:
            cancel()

    async def _once(self) -> None:
        async with self._link:
            try:
                await self._agent.serve()
            finally:
                self._closing = True

    def _changed(self, state: LinkState) -> None:
        if state.up:
            self.seen = True
            self._closing = False
            self.error = ""
            return
        if not self._closing and not self.excused:
            self.lost += 1
            self.error = state.reason


def _same(driver: FleetDriver) -> Driver:
    """The agent makes a driver when it first needs one: this one, which is counted."""
    return driver
