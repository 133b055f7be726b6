"""The gpio driver: gpiozero's threads on one side, the agent's loop on the other."""

import asyncio
import contextlib
import errno
import threading
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from iotxmpp.agent.drivers import Sample, check_settings, off_loop
from iotxmpp.agent.drivers.gpio.bindings import GpioSettings, bindings
from iotxmpp.agent.drivers.gpio.board import Board
from iotxmpp.errors import CommandFailedError
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

MOST_NEWS = 1000
"""Changes that wait at most; the oldest goes first, for the newest tells how it is."""


class GpioDriver:
    """Serves the channels of a profile at GPIO pins.

    Args:
        profile: The kind of device; each reading has a `source` as `GpioSource` describes it, each command an
            `effect` on an output.
        settings: See `GpioSettings`.

    Raises:
        ConfigError: A setting or a source is wrong, or two channels are at one pin.
    """

    def __init__(self, *, profile: Profile, settings: Mapping[str, object]) -> None:
        self._profile = profile
        self._settings = check_settings(GpioSettings, settings, "gpio")
        self._bindings = bindings(profile, self._settings)
        self._board: Board | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Queue[Sample | Exception] = asyncio.Queue(MOST_NEWS)
        self._setting = asyncio.Lock()
        self._lent: dict[str, Value] = {}
        self._returning: dict[str, asyncio.Task[None]] = {}
        self._working: set[asyncio.Task[Value]] = set()

    async def __aenter__(self) -> Self:
        """Takes the pins.

        Raises:
            ConfigError: gpiozero or its pins are not there, or a pin cannot be what it is to be.
            OSError: The hardware does not do it now.
        """
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Queue(MOST_NEWS)
        seed = self._settings.seed or self._profile.id
        work = off_loop(partial(Board, self._bindings, self._settings, self._changed, seed))
        wiring = asyncio.create_task(work, name="gpio pins")
        try:
            self._board = await asyncio.shield(wiring)
        except asyncio.CancelledError:
            wiring.add_done_callback(_close_late)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sets back what was set for a time, and lets the pins go."""
        returning = list(self._returning.values())
        for task in returning:
            task.cancel()
        await asyncio.gather(*returning, *self._working, return_exceptions=True)
        lent, self._lent = self._lent, {}
        self._returning.clear()
        board, self._board = self._board, None
        if board is not None:
            await off_loop(partial(_close, board, lent))

    async def read(self) -> Mapping[str, Value | OSError]:
        """The value of every channel; outputs are read back.

        Raises:
            OSError: The pins cannot be read.
        """
        return await off_loop(self._opened().read)

    async def samples(self) -> AsyncIterator[Sample]:
        """What inputs and outputs are, first all of them, then each change.

        Raises:
            OSError: An output could not be set back.
        """
        yield Sample(values=await off_loop(self._opened().pushed))
        while True:
            news = await self._news.get()
            if isinstance(news, Exception):
                raise news
            yield news

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """Sets an output, as the command's effect says.

        Returns:
            The channel and what it is now.

        Raises:
            UnknownCommandError: The profile has no such command.
            ArgumentsError: The arguments do not fit it, or the output cannot be so.
            CommandFailedError: It names a channel that the device does not have.
            OSError: The hardware does not do it.
        """
        checked = self._profile.check_arguments(name, arguments)
        effect = self._profile.commands[name].effect
        channel = "" if effect is None else effect.channel(checked)
        if effect is None or channel not in self._profile.reading_kinds():
            raise CommandFailedError(f"{name}: {self._profile.id} has no channel {channel!r}")
        value = effect.value if effect.to is None else checked.get(effect.to, effect.value)
        lasting = checked.get(effect.lasting) if effect.lasting else None
        seconds = float(lasting) if isinstance(lasting, int | float) else None
        # Whoever stops waiting must not leave an output on that is to go off again.
        work = asyncio.create_task(self._set(channel, value, seconds), name=f"set {channel}")
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return {channel: await asyncio.shield(work)}

    async def _set(self, channel: str, value: Value, seconds: float | None) -> Value:
        async with self._setting:
            board = self._opened()
            before = await off_loop(partial(board.value, channel))
            shown = await off_loop(partial(board.set, channel, value))
            returning = self._returning.pop(channel, None)
            if returning is not None:
                returning.cancel()
            if seconds is None:
                self._lent.pop(channel, None)
            else:
                self._lent.setdefault(channel, before)
                task = asyncio.create_task(self._set_back(channel, seconds), name=f"set back {channel}")
                self._returning[channel] = task
            self._tell(Sample(values={channel: shown}))
            return shown

    async def _set_back(self, channel: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._setting:
            try:
                shown = await off_loop(partial(self._opened().set, channel, self._lent[channel]))
            except Exception as error:  # noqa: BLE001  # whatever it is, the driver is opened anew for it
                self._tell(error)
                return
            del self._lent[channel], self._returning[channel]
            self._tell(Sample(values={channel: shown}))

    def _opened(self) -> Board:
        if self._board is None:
            raise OSError(errno.ENODEV, "driver gpio: not open")
        return self._board

    def _changed(self, channel: str, value: Value) -> None:
        """Comes in a thread of gpiozero's."""
        if self._loop is None:
            return
        # Once the loop is closed, nobody asks any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, Sample(values={channel: value}, at=time.time()))

    def _tell(self, news: Sample | Exception) -> None:
        if self._news.full():
            self._news.get_nowait()
        self._news.put_nowait(news)


def _close(board: Board, lent: Mapping[str, Value]) -> None:
    try:
        for channel, value in lent.items():
            board.set(channel, value)
    finally:
        board.close()


def _close_late(wiring: "asyncio.Task[Board]") -> None:
    """Lets pins go that nobody waits for any more."""
    if not wiring.cancelled() and wiring.exception() is None:
        threading.Thread(target=wiring.result().close, name="gpio pins", daemon=True).start()
