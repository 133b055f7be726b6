"""The modbus driver: a device's registers and coils as the channels of a profile."""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from iotxmpp.agent.drivers import check_settings, off_loop
from iotxmpp.agent.drivers.modbus.bindings import Binding, ModbusSettings, bindings
from iotxmpp.agent.drivers.modbus.blocks import Block, blocks
from iotxmpp.agent.drivers.modbus.library import bring_in
from iotxmpp.agent.drivers.modbus.line import (
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    UNDONE,
    Line,
    RefusedError,
)
from iotxmpp.agent.drivers.modbus.twin import Twin
from iotxmpp.errors import ArgumentsError, CommandFailedError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

_AGAIN = 5.0
_LOGGER = logging.getLogger(__name__)


class ModbusDriver:
    """Reads one device by Modbus, and writes what its profile's commands set.

    Args:
        profile: The kind of device; each reading has a `source`, and each command an `effect`.
        settings: See `ModbusSettings`.
        clock: Gives the seconds since 1970, for a simulated device.

    Raises:
        ConfigError: A setting or a source is wrong.
    """

    def __init__(
        self, *, profile: Profile, settings: Mapping[str, object], clock: Callable[[], float] = time.time
    ) -> None:
        self._profile = profile
        self._settings = check_settings(ModbusSettings, settings, "modbus")
        self._bound = bindings(profile)
        self._blocks = blocks(self._bound.values())
        self._clock = clock
        self._line: Line | None = None
        self._twin: Twin | None = None
        self._setting = asyncio.Lock()
        self._lent: dict[str, list[int]] = {}
        self._returning: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        """Opens the port or connects; whether the device answers shows at the first reading.

        Raises:
            ConfigError: pymodbus is not installed, or the port does not do these settings.
            OSError: The port is not there, in use or not allowed; or nothing listens at the host.
        """
        await off_loop(partial(bring_in, self._settings))
        try:
            self._line = Line(self._settings, await self._simulate())
            await self._line.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sets back what was set for a time, where the device still answers, and closes."""
        returning = list(self._returning.values())
        for task in returning:
            task.cancel()
        await asyncio.gather(*returning, return_exceptions=True)
        try:
            for channel in list(self._lent):
                await self._set_back(channel)
        except OSError as fault:
            _LOGGER.warning("not set back: %s: %s", ", ".join(self._lent), fault.strerror)
        finally:
            await self._close()

    async def read(self) -> Mapping[str, Value | OSError]:
        """The channels that have a value; one that the device refuses has its error.

        Raises:
            OSError: The device does not answer, or refuses every channel; or the line is gone.
        """
        line, values = self._opened(), dict[str, Value | OSError]()
        for block in list(self._blocks):
            values |= await self._read(line, block)
        errors = [value for value in values.values() if isinstance(value, OSError)]
        if errors and len(errors) == len(values):
            raise errors[0]
        return values

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Sets a channel, as the command's effect says.

        Returns:
            The channel and what it was set to.

        Raises:
            UnknownCommandError: The profile has no such command.
            ArgumentsError: The arguments do not fit it, or the registers cannot hold the value.
            CommandFailedError: It names a channel that the device does not have, or the device refuses.
            OSError: The device does not answer; it may be set or not.
        """
        checked = self._profile.check_arguments(name, arguments)
        effect = self._profile.commands[name].effect
        channel = "" if effect is None else effect.channel(checked)
        if effect is None or channel not in self._bound:
            raise CommandFailedError(f"{name}: {self._profile.id} has no channel {channel!r}")
        value = effect.value if effect.to is None else checked.get(effect.to, effect.value)
        lasting = checked.get(effect.lasting) if effect.lasting else None
        try:
            raw = self._bound[channel].raw(value)
        except ValueError as error:
            raise ArgumentsError(f"{name}: {channel}: {error}") from error
        seconds = float(lasting) if isinstance(lasting, int | float) else None
        try:
            await self._set(self._bound[channel], raw, seconds)
        except RefusedError as error:
            raise CommandFailedError(f"{name}: {error.strerror}") from error
        return {channel: value}

    async def _read(self, line: Line, block: Block) -> dict[str, Value | OSError]:
        try:
            return dict(block.values(await line.read(block.function, block.start, block.count)))
        except RefusedError as error:
            parts = block.apart()
            if len(parts) == 1 or error.code not in {ILLEGAL_ADDRESS, ILLEGAL_VALUE}:
                return dict.fromkeys((each.channel for each in block.bindings), error)
        # The device does not give what is between its registers, or not so much at once: one by one then.
        at = self._blocks.index(block)
        self._blocks[at : at + 1] = parts
        values: dict[str, Value | OSError] = {}
        for part in parts:
            values |= await self._read(line, part)
        return values

    async def _set(self, binding: Binding, raw: list[int], seconds: float | None) -> None:
        async with self._setting:
            line, channel = self._opened(), binding.channel
            is_first = seconds is not None and channel not in self._lent
            if is_first:
                count = binding.end - binding.start
                # Kept before it is written: whoever stops waiting must not leave it set.
                self._lent[channel] = await line.read(binding.source.function, binding.start, count)
                self._time(channel, seconds)
            # An earlier time runs on meanwhile: it ends only once the device has taken the new value.
            try:
                await line.write(binding.source.function, binding.start, raw)
            except RefusedError as error:
                if is_first and error.code in UNDONE:
                    self._time(channel, None)
                raise
            self._time(channel, seconds)

    def _time(self, channel: str, seconds: float | None) -> None:
        """Sets it back after these seconds instead of an earlier time's; None for not at all."""
        earlier = self._returning.pop(channel, None)
        if earlier is not None:
            earlier.cancel()
        if seconds is None:
            self._lent.pop(channel, None)
        else:
            task = asyncio.create_task(self._return_after(channel, seconds), name=f"set back {channel}")
            self._returning[channel] = task

    async def _return_after(self, channel: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while True:
            try:
                async with self._setting:
                    await self._set_back(channel)
                    self._returning.pop(channel, None)
            except OSError as error:
                _LOGGER.warning("%s is not set back yet: %s", channel, error.strerror)
                await asyncio.sleep(_AGAIN)
            else:
                return

    async def _set_back(self, channel: str) -> None:
        binding = self._bound[channel]
        await self._opened().write(binding.source.function, binding.start, self._lent[channel])
        del self._lent[channel]

    async def _simulate(self) -> int | None:
        if not self._settings.simulated:
            return None
        self._twin = Twin(
            self._bound,
            unit=self._settings.unit,
            seed=self._settings.seed or self._profile.id,
            clock=self._clock,
        )
        return await self._twin.start()

    async def _close(self) -> None:
        line, self._line = self._line, None
        twin, self._twin = self._twin, None
        try:
            if line is not None:
                line.close()
        finally:
            if twin is not None:
                await twin.stop()

    def _opened(self) -> Line:
        if self._line is None:
            raise OSError(errno.ENODEV, "driver modbus: not open")
        return self._line
