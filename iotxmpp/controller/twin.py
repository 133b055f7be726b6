"""The twins of all devices of a running controller."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from iotxmpp.backoff import Backoff
from iotxmpp.controller.device import Device
from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.controller.twinledger import Between, Ledger
from iotxmpp.controller.twinline import TwinLine
from iotxmpp.errors import DeviceAwayError, NoAnswerError
from iotxmpp.link import Link, LinkState
from iotxmpp.twin import Twin, settings_json

AT_ONCE = 20
"""Devices that are asked or told side by side."""

LONGEST_DELAY = 300.0
"""Seconds at most between two attempts to tell a device that does not answer."""


async def _nobody(_device: Device, _twin: Twin) -> None:
    """Nobody wants to know."""


class Twins:
    """What devices should be like, and what they are like.

    Args:
        link: The link.
        service: The PubSub service.
        rows: What is kept; None for a controller that only watches.
        between: Does blocking work in the store's thread, such as `Writer.between`.
        reject: Takes reports that break the rules.
        tell: Told when a twin has changed.
        backoff: Makes the delays between attempts.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the controller
        self,
        link: Link,
        *,
        service: str,
        rows: TwinRows | None,
        between: "Between[Any] | None",
        reject: Callable[[Rejection], None],
        tell: Callable[[Device, Twin], Awaitable[None]] = _nobody,
        backoff: Callable[..., Backoff] = Backoff,
    ) -> None:
        self._link = link
        self._service = service
        self._ledger = Ledger(rows, between)
        self._reject = reject
        self._tell = tell
        self._backoff = backoff
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._lines: dict[str, TwinLine] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def join(self, device: Device) -> None:
        """A device joined: what it reports is followed from now on."""
        self._line(device).rouse()

    def leave(self, device: Device) -> None:
        """A device is gone; what is desired of it stays in the store."""
        line = self._lines.pop(device.id, None)
        if line is not None:
            task = asyncio.create_task(line.close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def look(self, device: Device) -> None:
        """A presence of a device came."""
        line = self._lines.get(device.id)
        if line is not None:
            line.saw_presence()

    def link_changed(self, state: LinkState) -> None:
        """Our own link went down or up; a handler for `Link.on_state`."""
        for line in self._lines.values():
            if state.up and not state.resumed:
                line.renew()
            elif state.up:
                line.rouse()

    def of(self, device: Device) -> Twin:
        """What is known of a device's settings."""
        line = self._lines.get(device.id)
        return Twin() if line is None else line.twin

    async def known(self, device: Device) -> Twin:
        """The same, with what was kept before this controller started."""
        return await self._line(device).known()

    async def desire(self, device: Device, settings: Mapping[str, Any], *, by: str = "") -> Twin:
        """Changes what is desired of a device; kept when this returns, sent as soon as the device is there.

        Args:
            device: The device.
            settings: Values by name, as JSON has them; None takes a setting away.
            by: The bare JID of who wants it; empty for the controller.

        Raises:
            InvalidError: The settings break the rules, or the controller keeps none.
            StoreError: It could not be kept; nothing was changed.
        """
        settings_json(settings, f"settings of {device.id}")
        return await self._line(device).desire(settings, by)

    async def settled(self, device: Device, *, timeout: float | None) -> Twin:
        """Waits until a device has acted on what is desired of it, whatever it refused.

        Raises:
            DeviceAwayError: It did not in time, and is away; it will when it is back.
            NoAnswerError: It did not in time.
        """
        line = self._line(device)
        try:
            async with asyncio.timeout(timeout):
                return await line.settled()
        except TimeoutError:
            text = (
                f"settings of {device.id}: version {line.twin.desired_version} is kept, and the device did"
                f" not report it within {timeout:g} s; it is {device.state}"
            )
        if device.online:
            raise NoAnswerError(text)
        raise DeviceAwayError(f"{text}, and gets it when it is back")

    async def close(self) -> None:
        """Ends all."""
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.close() for line in lines), *self._ending)

    def _line(self, device: Device) -> TwinLine:
        if device.id not in self._lines:
            self._lines[device.id] = TwinLine(
                device,
                service=self._service,
                link=self._link,
                ledger=self._ledger,
                gate=self._gate,
                backoff=self._backoff(longest=LONGEST_DELAY),
                reject=self._reject,
                tell=self._tell,
            )
        return self._lines[device.id]
