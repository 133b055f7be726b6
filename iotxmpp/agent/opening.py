"""A driver's life: opened when it is needed, closed when its hardware fails, opened again after a while."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

from pydantic import JsonValue

from iotxmpp.agent.drivers import Driver, Hasty, Pushing, Sample, Troubled
from iotxmpp.agent.troubles import Tell, watch
from iotxmpp.backoff import Backoff
from iotxmpp.readings import Value
from iotxmpp.serving.offloop import tamed, text_of

OPEN_WITHIN = 60.0
"""Seconds that a driver has to open its hardware."""

CLOSE_WITHIN = 10.0
"""Seconds that it has to close it; afterwards it is left as it is."""

_BREATH = 64
"""Samples after which the rest of the agent has its turn, however fast they come."""

_LOGGER = logging.getLogger(__name__)

Result = TypeVar("Result")
Take = Callable[[Sample], None]


def hardware_backoff() -> Backoff:
    """The delays between attempts to open hardware."""
    return Backoff(first=1.0, longest=60.0)


def backoff_for(driver: Driver) -> Backoff:
    """The delays for a driver, which may say itself how long they are at most."""
    backoff = hardware_backoff()
    if isinstance(driver, Hasty):
        backoff.longest = min(backoff.longest, driver.longest_wait)
    return backoff


class OpenedDriver:
    """A driver that is opened when it is first needed, and opened anew after its hardware failed.

    After a failure it is left alone for a while; whoever needs it meanwhile gets the last error. One that
    gives samples by itself is opened at once and kept open.
    """

    def __init__(  # noqa: PLR0913  # each is for another part of its life
        self,
        make: Callable[[], Driver],
        *,
        take: Take | None = None,
        failed: Callable[[Exception], None] | None = None,
        troubled: Tell | None = None,
        backoff: Backoff | None = None,
        open_within: float = OPEN_WITHIN,
    ) -> None:
        """Makes it.

        Args:
            make: Makes a driver that is not open yet.
            take: Takes what the driver gives by itself; None keeps it closed until it is needed.
            failed: Is told, with `take`, why the driver cannot be opened or gives nothing any more.
            troubled: Is told what is wrong with an open driver that knows it.
            backoff: The delays between attempts.
            open_within: Seconds that the driver has to open.
        """
        self._make = make
        self._take = take
        self._failed = failed
        self._troubled = troubled
        self._backoff = backoff if backoff is not None else hardware_backoff()
        self._open_within = open_within
        self._stack = AsyncExitStack()
        self._driver: Driver | None = None
        self._changing = asyncio.Lock()
        self._closed = asyncio.Event()
        self._error: Exception | None = None
        self._again_at = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self._stream: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Opens nothing yet: hardware that is not there is a problem of its sensor, not of the agent."""
        if self._take is not None:
            self._keeper = asyncio.create_task(self._keep_open(), name="driver")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the hardware."""
        if self._keeper is not None:
            await _cancelled(self._keeper)
            self._keeper = None
        async with self._changing:
            await self._release()
        self._error, self._again_at = None, 0.0

    async def read(self) -> Mapping[str, Value | OSError]:
        """What the driver reads.

        Raises:
            Exception: What the driver raised, now or when it was last tried.
        """
        values = await self._use(lambda driver: driver.read())
        self._works()
        return values

    async def command(self, name: str, arguments: Mapping[str, Value]) -> JsonValue:
        """What the driver answers to a command; it raises as `read` does."""
        return await self._use(lambda driver: driver.command(name, arguments))

    async def _use(self, work: Callable[[Driver], Awaitable[Result]]) -> Result:
        driver = await self._opened()
        try:
            return await tamed(lambda: work(driver))
        except OSError as error:
            await self._broken(driver, error)
            raise

    async def _opened(self) -> Driver:
        async with self._changing:
            if self._driver is not None:
                return self._driver
            if self._error is not None and asyncio.get_running_loop().time() < self._again_at:
                raise self._error.with_traceback(None)
            try:
                driver = await self._open()
            except Exception as error:
                self._note(error)
                raise
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                fault = ConnectionError("the driver was cancelled while it was opened")
                self._note(fault)
                raise fault from error
            self._driver = driver
            self._attend(driver)
            return driver

    def _attend(self, driver: Driver) -> None:
        """Takes what an open driver tells by itself."""
        if self._take is not None and isinstance(driver, Pushing):
            work = self._consume(driver, driver.samples, self._take)
            self._stream = asyncio.create_task(work, name="driver's samples")
        if self._troubled is not None and isinstance(driver, Troubled):
            self._watch = asyncio.create_task(watch(driver, self._troubled), name="driver's troubles")

    async def _open(self) -> Driver:
        try:
            async with asyncio.timeout(self._open_within) as limit:
                return await tamed(lambda: self._stack.enter_async_context(self._make()))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(f"not open after {self._open_within:g} s") from error

    async def _broken(self, driver: Driver, error: Exception) -> None:
        """Closes it, unless somebody did so before."""
        async with self._changing:
            if self._driver is driver:
                self._note(error)
                await self._release()

    def _note(self, error: Exception) -> None:
        self._error = error
        self._again_at = asyncio.get_running_loop().time() + self._backoff.next_delay()

    def _works(self) -> None:
        if self._driver is not None:
            self._error = None
            self._backoff.reset()

    async def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None and stream is not asyncio.current_task():
            await _cancelled(stream)
        watcher, self._watch = self._watch, None
        if watcher is not None:
            await _cancelled(watcher)
        self._driver = None
        self._closed.set()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await tamed(self._stack.aclose)
        except (Exception, asyncio.CancelledError) as error:  # whatever a driver raises
            self._stack = AsyncExitStack()  # it is let go all the same
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            _LOGGER.warning("the driver could not be closed: %s", text_of(error))

    async def _keep_open(self) -> None:
        loop = asyncio.get_running_loop()
        while not _is_cancelled():  # a driver may answer our cancelling with a fault
            self._closed.clear()
            try:
                await self._opened()
            except Exception as error:  # noqa: BLE001  # whatever a driver raises
                self._tell(error)
            else:
                await self._closed.wait()
            await asyncio.sleep(max(0.0, self._again_at - loop.time()))

    async def _consume(self, driver: Driver, begin: Callable[[], AsyncIterator[Sample]], take: Take) -> None:
        try:
            await tamed(lambda: self._pass_on(begin(), take))
            raise ConnectionError("the driver gives no more samples")  # noqa: TRY301  # as if it had said so
        except Exception as error:  # noqa: BLE001  # whatever a driver raises
            self._tell(error)
            await self._broken(driver, error)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            fault = ConnectionError("the driver was cancelled")
            self._tell(fault)
            await self._broken(driver, fault)

    async def _pass_on(self, samples: AsyncIterator[Sample], take: Take) -> None:
        count = 0
        try:
            async for sample in samples:
                take(sample)
                self._works()
                count += 1
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(samples, "aclose", None)
            if close is not None:
                await close()

    def _tell(self, error: Exception) -> None:
        if self._failed is not None:
            self._failed(error)


def _is_cancelled() -> bool:
    """Whether somebody cancels us; otherwise a driver was careless with a task of its own."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _cancelled(task: "asyncio.Task[None]") -> None:
    """Cancels a task and waits for its end, which a driver may put off for a while."""
    task.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN):
            await asyncio.wait({task})
