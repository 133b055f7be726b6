"""A controller that gives many commands: `python -m tests.chaos.commands_caller CONFIG`.

It may be killed at any moment and started again: what it queued is in the store, its plain calls are in its
notes, and it goes on with the rest. SIGTERM ends it cleanly.
"""

import asyncio
import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree.ElementTree import Element

from iotxmpp import Controller
from iotxmpp.account import Account
from iotxmpp.commands import COMMAND_TAG
from iotxmpp.controller.queue_ticket import Ticket
from iotxmpp.errors import (
    CommandCancelledError,
    CommandError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    ConnectError,
    DeviceAwayError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
)
from iotxmpp.payloads import JSON_TAG
from iotxmpp.xmpp.link import XmppLink
from tests.chaos.child import read_config, until_terminated
from tests.chaos.commands_child import CallerConfig, die_when_armed
from tests.chaos.commands_plan import Step, draw

ALL = 10**6
LOOK_EVERY = 0.5
AGAIN = 0.2

_STATES: tuple[tuple[type[IotxmppError], str], ...] = (
    (CommandFailedError, "failed"),
    (CommandUnknownError, "unknown"),
    (CommandExpiredError, "expired"),
    (CommandCancelledError, "cancelled"),
    (DeviceAwayError, "rejected"),
    (NoAnswerError, "unknown"),
    (LinkDownError, "unknown"),
    (CommandError, "rejected"),
)

log = logging.getLogger("chaos.caller")


class Notes:
    """The plain calls, on disk: `C <token>` before one is made, `E <token> <state>` after it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        text = path.read_bytes()
        os.ftruncate(self._file, text.rfind(b"\n") + 1)
        self.states = read_notes(path)

    def begins(self, token: int) -> None:
        """A call is about to be made."""
        self.states[token] = "unknown"
        self._write(f"C {token}\n")

    def ended(self, token: int, state: str) -> None:
        """It ended so."""
        self.states[token] = state
        self._write(f"E {token} {state}\n")

    def _write(self, line: str) -> None:
        os.write(self._file, line.encode())
        os.fsync(self._file)


def read_notes(path: Path) -> dict[int, str]:
    """How each plain call ended; `unknown` where whoever made it was killed meanwhile."""
    states: dict[int, str] = {}
    for line in path.read_text().splitlines(keepends=True):
        what, token, *state = line.split()
        if line.endswith("\n"):
            states[int(token)] = state[0] if what == "E" else "unknown"
    return states


class Herald:
    """Says that a command sets out, and waits until its blow is ready."""

    def __init__(self, path: Path, steps: Iterable[Step]) -> None:
        self._path = path
        self._untold = {step.token for step in steps if step.blow is not None}
        self._hurried = {step.token for step in steps if step.hurried}
        self._one = asyncio.Lock()

    async def tell(self, token: int) -> None:
        """A command sets out."""
        if token not in self._untold:
            return
        self._untold.discard(token)
        async with self._one:
            reader, writer = await asyncio.open_unix_connection(self._path)
            writer.write(f"{token}\n".encode())
            await reader.readline()
            writer.close()

    async def sees(self, payload: Element) -> None:
        """A request is about to be sent."""
        text = payload.findtext(JSON_TAG)
        if payload.tag == COMMAND_TAG and text is not None:
            token = json.loads(text).get("token")
            if token not in self._hurried:
                await self.tell(token)


def announce(herald: Herald) -> None:
    """Lets each command be announced that the link sends."""
    call = XmppLink.call

    async def announced(self: XmppLink, to: str, payload: Element, **more: Any) -> Element | None:  # noqa: ANN401  # passed on
        await herald.sees(payload)
        return await call(self, to, payload, **more)

    patch.object(XmppLink, "call", announced).start()


class Caller:
    """One run of the controller."""

    def __init__(self, config: CallerConfig, controller: Controller, herald: Herald) -> None:
        self._config = config
        self._controller = controller
        self._herald = herald
        self._notes = Notes(config.notes)
        self._cancelling: set[asyncio.Task[None]] = set()

    async def run(self, steps: list[Step]) -> None:
        """Gives the commands that were not given yet, and waits until all have ended."""
        known = {each.arguments["token"] for each in await self._controller.commands(limit=ALL)}
        known |= set(self._notes.states)
        left = [step for step in steps if step.token not in known]
        log.info("%s of %s commands are left", len(left), len(steps))
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(self._report())
            async with asyncio.TaskGroup() as workers:
                for device in self._config.devices:
                    workers.create_task(self._give([step for step in left if step.device == device], device))
            await self._until_all_ended()
            reporting.cancel()
        self._say(len(steps))

    async def _give(self, steps: list[Step], device: str) -> None:
        waiting: set[asyncio.Task[None]] = set()
        for step in steps:
            while len(waiting) >= self._config.window:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if step.hurried:
                await self._herald.tell(step.token)
            if step.way == "call":
                await self._call(step, device)
            else:
                waiting.add(asyncio.create_task(self._over(await self._queue(step))))

    async def _queue(self, step: Step) -> Ticket:
        device = await self._controller.wait_for(step.device, online=None, timeout=None)
        ticket = await device.queue("act", step.arguments, ttl=step.ttl)
        if step.cancel_after is not None:
            task = asyncio.create_task(self._cancel(ticket, step.cancel_after))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)
        return ticket

    async def _over(self, ticket: Ticket) -> None:
        with suppress(CommandError):  # the store has its state
            await ticket.result()

    async def _cancel(self, ticket: Ticket, delay: float) -> None:
        await asyncio.sleep(delay)
        log.info("cancelled %s: %s", ticket.id, await ticket.cancel())

    async def _call(self, step: Step, name: str) -> None:
        device = await self._controller.wait_for(name, timeout=None)
        self._notes.begins(step.token)
        state = "done"
        try:
            result = await device.call_with("act", step.arguments, timeout=self._config.timeout)
        except IotxmppError as error:
            log.info("call %s: %s", step.token, error)
            state = next(state for kind, state in _STATES if isinstance(error, kind))
        else:
            if result != step.token:
                state = f"wrong-result-{result}"
        self._notes.ended(step.token, state)

    async def _until_all_ended(self) -> None:
        while await self._open():  # noqa: ASYNC110  # of an earlier process's commands there are no tickets
            await asyncio.sleep(LOOK_EVERY)
        await asyncio.gather(*self._cancelling)

    async def _open(self) -> int:
        return len(await self._controller.commands(state="queued", limit=ALL)) + len(
            await self._controller.commands(state="sent", limit=ALL)
        )

    async def _report(self) -> None:
        while True:
            given = len(await self._controller.commands(limit=ALL)) + len(self._notes.states)
            self._say(min(given - await self._open(), self._config.count - 1))
            await asyncio.sleep(LOOK_EVERY)

    def _say(self, ended: int) -> None:
        scratch = self._config.progress.with_suffix(".new")
        scratch.write_text(str(ended))
        scratch.replace(self._config.progress)


async def give(config: CallerConfig) -> None:
    """Runs until it is cancelled; tries again where there is no server yet."""
    steps = draw(config.seed, config.count, config.devices, config.shares)
    herald = Herald(config.herald, steps)
    announce(herald)
    while True:
        controller = Controller(Account.load(config.account), store=config.store, discover_every=1.0)
        try:
            async with controller:
                await Caller(config, controller, herald).run(steps)
                await asyncio.Event().wait()
        except ConnectError as error:
            log.warning("%s; again in %s s", error, AGAIN)
            await asyncio.sleep(AGAIN)


def main() -> None:
    """Runs the controller that a file describes."""
    config, _ = read_config(CallerConfig)
    die_when_armed(config.armed)
    asyncio.run(until_terminated(give(config), ready=config.ready.touch))


if __name__ == "__main__":
    main()
