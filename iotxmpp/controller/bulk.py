"""One command on many devices: some at a time, with a result for each."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from iotxmpp.errors import (
    CommandUnknownError,
    DeviceAwayError,
    InvalidError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
)
from iotxmpp.link import REQUEST_TIMEOUT

MAX_IN_FLIGHT = 50
"""Calls that are under way at one time, unless told otherwise."""

GIVE_UP = 2.0
"""Seconds that calls under way have for their answers after they were to stop."""

BulkOutcome = Literal["done", "failed", "unknown", "skipped"]
"""How one call ended: `unknown` may have been carried out, and `skipped` was not sent."""

_MAY_HAVE_RUN = (CommandUnknownError, NoAnswerError, LinkDownError)


class Target(Protocol):
    """One that is called; `iotxmpp.controller.Device` is."""

    @property
    def id(self) -> str:
        """The device's id."""
        ...

    async def call_with(self, command: str, arguments: Mapping[str, Any], *, timeout: float) -> Any:  # noqa: ANN401  # whatever the command gives
        """Calls the command and returns its result, as `Device.call_with` does."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkResult:
    """What became of the call of one device.

    Attributes:
        device: The device's id.
        outcome: How it ended.
        result: What the command gave, where it is done.
        text: Why it is not done, for people.
        error: The error, if there was one.
        seconds: How long it took.
    """

    device: str
    outcome: BulkOutcome
    result: Any = None
    text: str = ""
    error: IotxmppError | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of all of them.

    Attributes:
        done: How many did what was asked.
        failed: How many refused it, or failed.
        unknown: How many may have done it: no answer came.
        skipped: How many were not asked: they are away, or it was stopped before.
        results: Each device's, in the order in which the devices were given.
    """

    done: int
    failed: int
    unknown: int
    skipped: int
    results: tuple[BulkResult, ...]


async def call_many(  # noqa: PLR0913  # each is a choice of its own
    devices: Sequence[Target],
    command: str,
    arguments: Mapping[str, Any] | Callable[[str], Mapping[str, Any]],
    *,
    max_in_flight: int = MAX_IN_FLIGHT,
    stop_after_failures: int | None = None,
    timeout: float = REQUEST_TIMEOUT,
    on_result: Callable[[BulkResult], None] = lambda _result: None,
    stop: asyncio.Event | None = None,
) -> Summary:
    """Calls a command on each device, in their order.

    An error of one device ends up in its result, and harms no other device. Where this is cancelled, what is
    under way is given up, and may have been carried out.

    Args:
        devices: The devices.
        command: The command's name.
        arguments: Its arguments; or gives them, by a device's id.
        max_in_flight: Calls that are under way at one time.
        stop_after_failures: After so many that failed or whose outcome is unknown, no more are started; None
            for never. Those under way go on to their ends, so there can be more of them.
        timeout: Seconds that each device has for its answer.
        on_result: Told each result as it comes.
        stop: Once it is set, no more are started, and those under way have `GIVE_UP` seconds.

    Raises:
        InvalidError: `max_in_flight` or `stop_after_failures` is less than 1.
    """
    for name, given in (("max_in_flight", max_in_flight), ("stop_after_failures", stop_after_failures)):
        if given is not None and given < 1:
            raise InvalidError(f"{name}: {given}; give 1 or more")

    async def call_one(device: Target) -> Any:  # noqa: ANN401  # whatever the command gives
        values = arguments(device.id) if callable(arguments) else arguments
        return await device.call_with(command, values, timeout=timeout)

    run = _Run(devices, call_one, on_result, stop_after_failures)
    await run.work(max_in_flight, stop)
    return run.summary()


class _Run:
    """One command on its way through many devices."""

    def __init__(
        self,
        devices: Sequence[Target],
        call: Callable[[Target], Any],
        on_result: Callable[[BulkResult], None],
        most_failures: int | None,
    ) -> None:
        self._devices = devices
        self._call = call
        self._on_result = on_result
        self._most_failures = most_failures
        self._left: Iterator[tuple[int, Target]] = iter(enumerate(devices))
        self._results: dict[int, BulkResult] = {}
        self._failures = 0
        self._stopped = ""

    async def work(self, at_once: int, stop: asyncio.Event | None) -> None:
        """Runs until all have ended, or it is to stop."""
        workers = [asyncio.create_task(self._worker()) for _ in range(min(at_once, len(self._devices)))]
        working = asyncio.gather(*workers)
        waiting: set[asyncio.Future[Any]] = {working}
        if stop is not None:
            waiting.add(asyncio.create_task(stop.wait()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                self._stopped = self._stopped or "stopped"
                await asyncio.wait({working}, timeout=GIVE_UP)
            if working.done():
                working.result()
        finally:
            ending = {*workers, *waiting}
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def summary(self) -> Summary:
        """What became of all; those that were never started are told now."""
        for number, device in self._left:
            self._take(
                number, BulkResult(device=device.id, outcome="skipped", text=f"not sent: {self._stopped}")
            )
        counts = Counter(result.outcome for result in self._results.values())
        return Summary(
            done=counts["done"],
            failed=counts["failed"],
            unknown=counts["unknown"],
            skipped=counts["skipped"],
            results=tuple(self._results[number] for number in sorted(self._results)),
        )

    async def _worker(self) -> None:
        while not self._stopped:
            number, device = next(self._left, (-1, None))
            if device is None:
                return
            self._take(number, await self._one(number, device))

    async def _one(self, number: int, device: Target) -> BulkResult:
        started = time.monotonic()
        try:
            result = await self._call(device)
        except asyncio.CancelledError:
            text = "stopped before the answer came; it may have been carried out"
            self._take(number, _result(device, "unknown", started, text=text))
            raise
        except IotxmppError as error:
            return _result(device, outcome_of(error), started, text=str(error), error=error)
        return _result(device, "done", started, result=result)

    def _take(self, number: int, result: BulkResult) -> None:
        self._results[number] = result
        self._failures += result.outcome in {"failed", "unknown"}
        if self._most_failures is not None and self._failures >= self._most_failures and not self._stopped:
            count = self._failures
            self._stopped = f"stopped after {count} failure{'s' if count > 1 else ''}"
        self._on_result(result)


def outcome_of(error: IotxmppError) -> BulkOutcome:
    """What an error of a call says of the command."""
    if isinstance(error, DeviceAwayError):
        return "skipped"
    return "unknown" if isinstance(error, _MAY_HAVE_RUN) else "failed"


def _result(  # noqa: PLR0913  # as many as a result has
    device: Target,
    outcome: BulkOutcome,
    started: float,
    *,
    result: object = None,
    text: str = "",
    error: IotxmppError | None = None,
) -> BulkResult:
    seconds = time.monotonic() - started
    return BulkResult(
        device=device.id, outcome=outcome, result=result, text=text, error=error, seconds=seconds
    )
