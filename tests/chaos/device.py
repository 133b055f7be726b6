"""A simulated device: `python -m tests.chaos.device CONFIG [--mutate fsync]`.

It writes each reading into its ledger before it publishes it, and what publish() said after that. It may be
killed at any moment and started again; it goes on where its ledger ends. SIGTERM ends it cleanly.
"""

import asyncio
import logging
import random
import sys
import time

from iotxmpp import Agent
from iotxmpp.about import ValueType
from iotxmpp.account import Account
from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.backoff import Backoff
from iotxmpp.errors import InvalidError, IotxmppError
from tests.chaos import mutations
from tests.chaos.child import read_config, until_terminated
from tests.chaos.ledger import KINDS, Ledger, Planned, value_of
from tests.chaos.settings import DeviceConfig, DeviceState

MOST_PENDING = 2000
REPORT_EVERY = 0.2
URGENT = "alarm"
TYPES: dict[str, ValueType] = {"i": "int", "f": "float", "s": "str"}

log = logging.getLogger("chaos.device")


def make_agent(config: DeviceConfig) -> Agent:
    """The agent, its channels declared."""
    outbox = OutboxSettings(path=config.outbox)
    if config.outbox_bytes is not None:
        outbox = outbox.model_copy(update={"bytes": config.outbox_bytes})
    if config.quick:
        outbox = outbox.model_copy(update={"replay_delay": 0.3})
    agent = Agent(Account.load(config.account), outbox=outbox)
    for channel, kind in KINDS.items():
        agent.channel(channel, type=TYPES[kind], urgent=channel == URGENT)
    if config.quick:
        agent._backoff = lambda **_: Backoff(first=0.05, longest=0.4)
    return agent


class Device:
    """One run of the device."""

    def __init__(self, config: DeviceConfig) -> None:
        self._config = config
        self._agent = make_agent(config)
        self._ledger = Ledger(config.ledger)
        self._pending: set[asyncio.Task[None]] = set()
        self._chance = random.Random()  # noqa: S311  # sizes of batches, no secret

    async def run(self) -> None:
        """Serves and publishes until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._agent.serve())
            await self._until_it_runs()
            group.create_task(self._report())
            group.create_task(self._produce())

    async def _until_it_runs(self) -> None:
        while True:
            try:
                self._buffered()
            except InvalidError:
                await asyncio.sleep(0.01)
            else:
                return

    async def _produce(self) -> None:
        loop, config = asyncio.get_running_loop(), self._config
        due = loop.time()
        while self._ledger.next <= config.readings:
            size = min(self._chance.randint(1, config.batch), config.readings - self._ledger.next + 1)
            planned = [self._planned(self._ledger.next + index) for index in range(size)]
            self._ledger.plan(planned)
            for each in planned:
                task = asyncio.create_task(self._publish(each))
                self._pending.add(task)
                task.add_done_callback(self._published)
            due = max(due, loop.time() - 1) + size / config.rate
            await asyncio.sleep(due - loop.time())
            while len(self._pending) > MOST_PENDING:
                await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)

    def _planned(self, number: int) -> Planned:
        channel = self._chance.choices(tuple(KINDS), (40, 1, 40, 19))[0]
        return Planned(number=number, channel=channel, time=time.time())

    async def _publish(self, planned: Planned) -> None:
        value = value_of(planned.channel, planned.number)
        try:
            await self._agent.publish(planned.channel, value, time=planned.time)
        except IotxmppError as error:
            log.warning("reading %s refused: %s", planned.number, error)
            self._ledger.refused(planned.number)
        else:
            self._ledger.promised(planned.number)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.critical("publish failed", exc_info=task.exception())
            sys.exit(3)

    def _buffered(self) -> int:
        return self._agent.status.buffered

    async def _report(self) -> None:
        path, scratch = self._config.state, self._config.state.with_suffix(".new")
        while True:
            # What is made is read first: so a reading can be counted twice, and never be overlooked.
            made, pending = self._ledger.next - 1, len(self._pending)
            status = self._agent.status
            state = DeviceState(
                made=made, pending=pending, buffered=status.buffered, problems=status.problems
            )
            scratch.write_text(state.model_dump_json())
            scratch.replace(path)
            await asyncio.sleep(REPORT_EVERY)


def main() -> None:
    """Runs the device that a file describes."""
    config, mutation = read_config(DeviceConfig, ["fsync"])
    mutations.apply(mutation)
    asyncio.run(until_terminated(Device(config).run()))


if __name__ == "__main__":
    main()
