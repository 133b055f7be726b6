"""The serial driver: a microcontroller's values, events and commands for an agent."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from firmware_bridge.airsession import AirSession
from firmware_bridge.binding import FIRMWARE_UPDATE, Binding
from firmware_bridge.board import BoardSession
from firmware_bridge.events import Answered, Outcome, Session
from firmware_bridge.finding import Wanted, find
from firmware_bridge.hearing import MUTE_AFTER, Ear
from firmware_bridge.learning import Known
from firmware_bridge.link import Link
from firmware_bridge.mailbox import Packet
from firmware_bridge.memorypms import MemoryPms5003, simulated_frame
from firmware_bridge.memoryport import MemoryPort, ProfileBoard
from firmware_bridge.port import Receiver, Wire, open_port
from firmware_bridge.reserving import reserved
from firmware_bridge.settings import SerialSettings
from firmware_bridge.updating import check_update, update_firmware
from iotxmpp.agent.drivers import Sample, check_settings
from iotxmpp.errors import (
    ArgumentsError,
    CommandError,
    CommandFailedError,
    CommandUnknownError,
    ConfigError,
    LinkDownError,
    UnknownCommandError,
)
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

SIMULATED = "the simulated board"

LONGEST_WAIT = 5.0
"""Seconds between two attempts to find the board at most."""

_KNOWN: Known = {}
"""What boards described, for all drivers of this process: a board that is back need not be asked anew."""


class SerialDriver:
    """Serves a profile by a board at a serial port; see `SerialSettings`.

    Args:
        profile: The kind of device; its channels and commands are the board's by name, or by `source.name`.
        settings: See `SerialSettings`.

    Raises:
        ConfigError: A setting or a source is wrong, or the profile has something that cannot be served.
    """

    def __init__(self, *, profile: Profile, settings: Mapping[str, object]) -> None:
        self._profile = profile
        self._settings = check_settings(SerialSettings, settings, "serial")
        self._binding = Binding(profile)
        check_update(profile, self._settings.flash)
        self._link: Link | None = None
        self._ear = Ear(self._binding, self._settings.silence, profile)
        self._updating = self._closed = False
        if self._settings.simulated and self._settings.protocol != "pms5003":
            self._board()

    async def __aenter__(self) -> Self:
        """Finds the board.

        Raises:
            OSError: It is not there, or its port cannot be opened; the text says what to do.
            ConfigError: The package for serial ports is missing.
        """
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the port."""
        self._closed = True
        await self._close()

    async def read(self) -> Mapping[str, Value | OSError]:
        """The last values that are fresh, but no events; for what does not fit, or fails, why.

        Raises:
            OSError: The port is gone, or the board does not answer.
        """
        if self._link is not None and self._link.error is not None:
            raise self._link.error
        session = None if self._link is None else self._link.session
        return self._ear.known(session, time.monotonic())

    async def samples(self) -> AsyncIterator[Sample]:
        """What the board gives by itself.

        One without values says that it works: as soon as it said what it is, for its next value may be long
        in coming. A silent port gives one once its silence is a trouble of its own.

        Raises:
            OSError: The port is gone, or the board does not answer.
        """
        packet = await self._first()
        while True:
            yield Sample(values=packet.values, at=packet.at, is_event=packet.is_event)
            packet = await self._ear.mailbox.take()

    async def _first(self) -> Packet:
        try:
            async with asyncio.timeout(MUTE_AFTER) as limit:
                return await self._ear.mailbox.take()
        except TimeoutError:  # also what an error of the port may be
            if not limit.expired():
                raise
            return Packet(values={}, at=time.time())

    @property
    def longest_wait(self) -> float:
        """Seconds between two attempts to find the board: whoever plugs it in waits for it."""
        return LONGEST_WAIT

    def troubles(self) -> Mapping[str, str]:
        """What is wrong without being an error, by a key of each: damage on the line, strange channels."""
        return self._ear.troubles()

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Calls the board's command, once.

        Returns:
            What the board returned: a value, values by name, a text, or nothing.

        Raises:
            UnknownCommandError: The profile or the board has no such command.
            ArgumentsError: The arguments do not fit it; it was not started.
            CommandFailedError: The board says that it failed.
            CommandUnknownError: It was sent and may have run, but the board restarted, went away, or gave no
                answer in time.
            CommandError: It was not started, because the board is not there or busy.
        """
        checked = self._profile.check_arguments(name, arguments)
        if self._updating:
            raise CommandError(
                f"{name}: not started: the board's firmware is being updated; call again later"
            )
        if name == FIRMWARE_UPDATE and self._settings.flash is not None:
            return await self._update(checked)
        fault = self._binding.command_faults.get(name)
        if fault is not None:
            raise CommandError(f"not started: {fault}")
        if self._link is None or self._link.error is not None:
            raise CommandError(f"{name}: not started: the board is not connected; call again later")
        try:
            answer = await self._link.call(
                self._binding.commands[name], checked, self._profile.commands[name].timeout
            )
        except LinkDownError as error:
            raise CommandError(f"{name}: not started: {error}") from error
        return outcome_of(name, answer)

    async def _open(self) -> None:
        settings = self._settings
        wanted = Wanted(port=settings.port, board=settings.board, reset_wait=settings.reset_wait)
        if settings.simulated:
            wanted = Wanted(port=SIMULATED, board=None, reset_wait=0.0)
        link = await find(wanted, self._connect)
        self._link = link
        self._ear.serve(link)

    async def _connect(self, port: str) -> Link:
        heard = self._ear.at(port, self._settings.board)
        link = Link(port, self._session(), heard)
        settings = self._settings
        opener = self._simulated if settings.simulated else partial(open_port, port, settings.baud)
        await link.open(opener, 0.0 if settings.simulated else settings.reset_wait)
        return link

    async def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _session(self) -> Session:
        protocol = self._settings.protocol
        if protocol == "pms5003":
            return AirSession()
        return BoardSession(protocol=protocol, known=_KNOWN)

    async def _simulated(self, receiver: Receiver) -> Wire:
        if self._settings.protocol != "pms5003":
            return MemoryPort(self._board(), receiver)
        kinds = self._profile.reading_kinds()
        names = self._binding.names
        return MemoryPms5003(
            lambda: simulated_frame(kinds, names, seed=self._seed, now=time.time()), receiver
        )

    def _board(self) -> ProfileBoard:
        return ProfileBoard(
            self._profile, self._binding.names, seed=self._seed, id=self._settings.board or self._seed
        )

    @property
    def _seed(self) -> str:
        return self._settings.seed or self._profile.id

    async def _update(self, arguments: Mapping[str, Value]) -> JsonValue:
        """Gives the port to the program that writes the firmware, and takes it back."""
        self._updating = True
        try:
            port = "" if self._link is None else self._link.where
            with ExitStack() as kept:
                try:
                    kept.enter_context(reserved(port))  # from before it is closed until it is open again
                except OSError as error:
                    raise CommandError(f"{FIRMWARE_UPDATE}: not started: {error.strerror}") from error
                await self._close()
                try:
                    return await update_firmware(self._settings, port, arguments, known=self._ear.said)
                except ConfigError as error:
                    raise CommandError(f"{FIRMWARE_UPDATE}: not started: {error}") from error
                finally:
                    await self._take_back()
        finally:
            self._updating = False

    async def _take_back(self) -> None:
        """Opens the port again; if that fails, the agent opens the driver anew."""
        try:
            if not self._closed:
                await self._open()
        except OSError as error:
            self._ear.mailbox.fail(error)
        if self._closed:  # meanwhile
            await self._close()


def outcome_of(name: str, answer: Answered) -> JsonValue:
    """What a call of the board returned.

    Raises:
        CommandError: In the class that says what it means.
    """
    match answer.outcome:
        case Outcome.DONE:
            values: Sequence[tuple[str, Value]] = tuple((answer.values or {}).items())
            if [key for key, _ in values] == ["value"]:
                return values[0][1]
            if values:
                return dict(values)
            return answer.value if answer.value is not None else answer.text or None
        case Outcome.FAILED:
            raise CommandFailedError(f"{name}: the board says: {answer.text or 'it failed'}")
        case Outcome.UNKNOWN_COMMAND:
            raise UnknownCommandError(f"{name}: {answer.text or 'the board has no such command'}")
        case Outcome.BAD_ARGUMENTS:
            raise ArgumentsError(f"{name}: {answer.text or 'the board does not take these arguments'}")
        case Outcome.NOT_RUN:
            raise CommandError(f"{name}: not started: {answer.text}")
        case Outcome.UNKNOWN:
            raise CommandUnknownError(
                f"{name}: unknown, started: {answer.text}; look at the device before you call again"
            )
