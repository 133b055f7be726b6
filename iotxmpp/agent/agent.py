"""The agent: what a device reads and does, declared with decorators, and run."""

import asyncio
import math
import re
import time as clock
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from iotxmpp.about import MOST_TAGS, About
from iotxmpp.access import Access, Grant
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, bare_jid, device_id, local_part
from iotxmpp.agent.channels import check_reading
from iotxmpp.agent.clock import Clock
from iotxmpp.agent.declarations import Declarations
from iotxmpp.agent.intake import unknown_channel
from iotxmpp.agent.notify import Pulse, notifying
from iotxmpp.agent.outbox.settings import OutboxSettings, outbox_settings
from iotxmpp.agent.outlet import Outlet
from iotxmpp.agent.plan import Plan
from iotxmpp.agent.running import Running, open_link
from iotxmpp.backoff import Backoff
from iotxmpp.errors import InvalidError
from iotxmpp.link import Link
from iotxmpp.readings import Value
from iotxmpp.status import DeviceStatus
from iotxmpp.xmltext import check_text

if TYPE_CHECKING:
    from iotxmpp.profiles import Profile


class Agent(Declarations):
    """A device: sensors, commands, and a presence.

    Declare first, then `run()`, or `async with agent:` in a program of your own. Entering connects and raises
    a `ConnectError` if that fails; afterwards the link comes back by itself, and readings wait meanwhile.

    Attributes:
        device: The device's id.
        profile: The kind of device that it was made from, as `id version`; empty for none.
    """

    def __init__(  # noqa: PLR0913  # each is one thing that a script may say
        self,
        jid_or_account: str | Account,
        *,
        password: str | None = None,
        controllers: Iterable[str] | None = None,
        access: Access | None = None,
        profile: "Profile | str | None" = None,
        heartbeat: float = 30.0,
        device: str | None = None,
        site: str = "",
        room: str = "",
        tags: Iterable[str] = (),
        people: Iterable[str] = (),
        link: Link | None = None,
        outbox: OutboxSettings | Path | str | None = None,
    ) -> None:
        """Makes an agent; nothing is connected or looked up yet.

        Args:
            jid_or_account: The account, or its JID; the password of a JID comes from the environment
                (`Account.find`), at the start of a run.
            password: The password of a JID.
            controllers: The JIDs that may do everything with the device; the account's unless given.
            access: Who else may do what; nobody may anything unless given.
            profile: A kind of device, or the name of a shipped one: its channels are declared with their
                units and ranges; sensors and commands still need functions.
            heartbeat: The device promises to be heard from at least this often, in seconds.
            device: The device's id; the local part of the JID unless given.
            site: Where it stands, for people.
            room: In which room there, for people.
            tags: Words to choose it by among many, such as `spare`; each without spaces and commas.
            people: The JIDs of those to whom alarms are written.
            link: A link that somebody else opens and closes; several agents may share it.
            outbox: The file where readings wait, `memory` for none, or whole settings; `outbox.db` in the
                agent's state directory unless given.

        Raises:
            InvalidError: One of them breaks its rules.
        """
        if isinstance(profile, str):
            import device_profiles  # noqa: PLC0415  # only where one is named

            profile = device_profiles.load(profile)
        super().__init__(profile.channels() if profile is not None else {})
        if isinstance(jid_or_account, Account) and password is not None:
            raise InvalidError("password: the account has one already")
        if not (heartbeat > 0 and math.isfinite(heartbeat)):
            raise InvalidError(f"heartbeat: {heartbeat} s; give more than 0")
        jid = jid_or_account.jid if isinstance(jid_or_account, Account) else bare_jid(jid_or_account)
        self.device: DeviceId = device_id(device if device is not None else local_part(jid))
        self._account = jid_or_account if isinstance(jid_or_account, Account) else None
        self._jid = jid
        self._password = password
        self._controllers = None if controllers is None else tuple(bare_jid(each) for each in controllers)
        self._access = access if access is not None else Access()
        self.profile = f"{profile.id} {profile.version}" if profile is not None else ""
        self._heartbeat = heartbeat
        self._site = check_text(site, "site")
        self._room = check_text(room, "room")
        self._tags = _checked_tags(tags)
        self._people = _checked_people(people)
        self._link = link
        self._outbox = outbox_settings(outbox)
        self._clock = Clock()
        self._backoff: Callable[..., Backoff] = Backoff
        self._running: Running | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # Readings from code of your own.

    async def publish(
        self, channel: str, value: Value, *, time: float | None = None, urgent: bool = False
    ) -> None:
        """Publishes one reading; returns when it is on disk, from where it will be sent whatever happens.

        It is sent at once, or with others. Many can wait for one commit, which comes within half a second; if
        the collector has acknowledged it before, that ends the wait, too.

        Args:
            channel: A declared channel.
            value: Its value.
            time: When it was read, in seconds since 1970 (UTC); None for now.
            urgent: It is an alarm, and committed at once.

        Raises:
            InvalidError: The agent does not run, there is no such channel, or the value does not fit it.
            OutboxFullError: The outbox is full, and its policy for this channel is to keep what it has.
        """
        await self._require_running().intake.take(channel, value, time, urgent=urgent)

    async def publish_many(
        self,
        readings: "Iterable[tuple[str, Value] | tuple[str, Value, float | None]]",
        *,
        urgent: bool = False,
    ) -> None:
        """Publishes many readings, as `publish` does each; for a sensor that gives them by the block.

        Args:
            readings: The channel, the value and the time of each; it was read now if there is no time.
            urgent: They are alarms, and committed at once.

        Raises:
            InvalidError: The agent does not run, or one of the readings is wrong; none is published then.
            OutboxFullError: The outbox is full, and the policy for one of the channels is to keep what it
                has.
        """
        kept = self._require_running().intake.take_many(readings, urgent=urgent)
        if kept is not None:
            await kept

    def publish_soon(self, channel: str, value: Value, *, time: float | None = None) -> None:
        """Publishes one reading from any thread, such as a callback of gpiozero.

        Raises:
            InvalidError: As `publish` does.
        """
        running, good = self._checked(channel, value)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(running.take_soon, {channel: good}, time)

    def outlet(self) -> Outlet | None:
        """Where a driver's own values and problems go; None while the agent does not run.

        What is taken there is not checked: that is done by whoever knows the channel's kind.
        """
        running = self._running
        if running is None or not running.opened:
            return None
        return Outlet(take=running.take, problems=running.problems)

    async def alarm(self, text: str, *, key: str = "") -> int:
        """Writes an alarm to the agent's `people`, as a chat message; limits hold floods back.

        What cannot be sent now, because the link is down for instance, is not kept; the next alarm says how
        many were held back.

        Args:
            text: What to say.
            key: What it is about: alarms of one key go out once a minute at most; the text unless given.

        Returns:
            To how many people it was sent.

        Raises:
            InvalidError: The agent does not run, or has no people.
        """
        running = self._require_running()
        if not self._people:
            raise InvalidError(f"an alarm of {self.device} reaches nobody; give the agent people=[…]")
        return await running.alarms.raise_alarm(text, key=key)

    async def sleep(self, *, seconds: float | None = None, until: datetime | float | None = None) -> bool:
        """Declares that the device will not be heard for a while, so that nobody takes it for lost.

        Returns when the server has it, after 5 s at most. The agent goes on: let it end, or the machine
        sleep, by yourself. After the time it must be heard within a heartbeat.

        Args:
            seconds: For so long; 0 ends a sleep early.
            until: Until then, in seconds since 1970 (UTC) or as an aware datetime; one of the two.

        Returns:
            True: the server has it, so power may go at once. False: the link is down (at once), or the server
            did not answer; then it is remembered, and said as soon as the link is up again.

        Raises:
            InvalidError: The agent does not run, or the time is none.
        """
        return await self._require_running().reporter.sleep(_sleep_seconds(seconds, until))

    # Running.

    @property
    def about(self) -> About:
        """The device's self-description, as it is published.

        Raises:
            ConfigError: The account's password is not to be found.
        """
        return self._plan().about()

    @property
    def outbox_path(self) -> Path | None:
        """The file where its readings wait; None where they wait in memory."""
        return self._outbox.file(self._jid, self.device)

    @property
    def status(self) -> DeviceStatus:
        """How the device is now, as its next heartbeat will say.

        Raises:
            InvalidError: The agent does not run.
        """
        return self._require_running().reporter.status("heartbeat")

    async def __aenter__(self) -> Self:
        """Connects and starts.

        Raises:
            ConfigError: The account's password is not to be found.
            ConnectError: The first attempt to connect failed; its subclass says how.
            StoreError: The outbox's file is another agent's, another program's, or of another version.
        """
        await self._open(wait=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sends what is left if that goes quickly, says goodbye, and ends every task."""
        await self._close()

    async def serve(self, *, wait: bool = True) -> None:
        """Runs until it is cancelled; a service manager that listens is told how it is (sd_notify(3)).

        Args:
            wait: Whether to try again while the server cannot be reached; readings wait meanwhile. A refused
                password, certificate or security is never tried again.

        Raises:
            ConfigError: The account's password is not to be found.
            ConnectError: The first attempt to connect failed for good.
            StoreError: The outbox's file is another agent's, another program's, or of another version.
        """
        async with notifying(self._pulse) as stopping:
            await self._open(wait=wait)
            try:
                await self._require_running().failure()
            finally:
                stopping()
                await self._close()

    def run(self, *, wait: bool = True) -> None:
        """Runs until SIGINT or SIGTERM; what a script's last line calls.

        Logs to standard error unless logging is set up. An error that a person can put right ends the program
        with one line and exit code 1.

        Args:
            wait: As for `serve`.
        """
        from iotxmpp.agent.script import run_script  # noqa: PLC0415  # only scripts need it

        run_script(lambda: self.serve(wait=wait), str(self.device))

    async def _open(self, *, wait: bool) -> None:
        if self._running is not None:
            raise InvalidError(f"the agent of {self.device} runs already")
        plan = self._plan()
        link = self._link if self._link is not None else open_link(plan.account)
        self._running = Running(
            plan, link, owns_link=self._link is None, backoff=self._backoff, clock=self._clock
        )
        self._in_use = True
        self._loop = asyncio.get_running_loop()
        try:
            await self._running.open(wait=wait)
        except BaseException:
            self._running, self._in_use = None, False
            raise

    def _pulse(self) -> Pulse:
        return Pulse() if self._running is None else self._running.pulse()

    async def _close(self) -> None:
        running, self._running = self._require_running(), None
        try:
            await running.close()
        finally:
            self._in_use = False

    def _plan(self) -> Plan:
        account = self._found_account()
        controllers = self._controllers if self._controllers is not None else account.controllers
        return Plan(
            account=account,
            device=self.device,
            controllers=frozenset(controllers),
            access=self._access.plus(*(Grant(who=jid, role="maintainer") for jid in controllers)),
            collector=account.collector or next(iter(controllers), ""),
            heartbeat=self._heartbeat,
            site=self._site,
            room=self._room,
            profile=self.profile,
            channels=dict(self._channels),
            sensors=tuple(self._sensors),
            commands=dict(self._commands),
            settings=dict(self._settings),
            resources=tuple(self._resources),
            outbox=self._outbox,
            when_full=dict(self._when_full),
            urgent=dict(self._urgent),
            tags=self._tags,
            people=self._people,
        )

    def _found_account(self) -> Account:
        if self._account is not None:
            return self._account
        if self._link is not None:  # its owner has logged in already
            return Account(jid=self._jid, password=SecretStr(self._password or ""))
        return Account.find(self._jid, password=self._password)

    def _require_running(self) -> Running:
        if self._running is None or not self._running.opened:
            raise InvalidError(f"the agent of {self.device} does not run; enter it with `async with agent:`")
        return self._running

    def _checked(self, channel: str, value: object) -> tuple[Running, Value]:
        running = self._require_running()
        if channel not in self._channels:
            raise InvalidError(unknown_channel(channel, self._channels))
        return running, check_reading(channel, self._channels[channel], value)


def _checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    given = (tags,) if isinstance(tags, str) else tuple(dict.fromkeys(tags))
    for tag in given:
        if not (isinstance(tag, str) and re.fullmatch(r"[^\s,]{1,64}", check_text(tag, "tags"))):
            raise InvalidError(f"tags: {tag!r}: use 1 to 64 characters without spaces and commas")
    if len(given) > MOST_TAGS:
        raise InvalidError(f"tags: {len(given)} of them; a device has at most {MOST_TAGS}")
    return given


def _checked_people(people: Iterable[str]) -> tuple[str, ...]:
    given = (people,) if isinstance(people, str) else people
    try:
        return tuple(dict.fromkeys(bare_jid(each) for each in given))
    except InvalidError as error:
        raise InvalidError(f"people: {error}") from error


def _sleep_seconds(seconds: float | None, until: datetime | float | None) -> float:
    if (seconds is None) == (until is None):
        raise InvalidError("sleep: give either seconds or until")
    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise InvalidError(f"sleep: until {until}: give its time zone, such as datetime.now(UTC)")
        until = until.timestamp()
    left = seconds if until is None else until - clock.time()
    if left is None or not (math.isfinite(left) and left >= 0):
        raise InvalidError(f"sleep: {left} s from now; give a time to come")
    return left
