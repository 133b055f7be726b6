"""A signal ends every command, also one that still connects or waits, and leaves nothing behind."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

import pytest

from iotxmpp.xmpp.negotiation import ATTEMPT_TIMEOUT
from tests.live.cli_house import ELSEWHERE, agent_file, changed, saved
from tests.live.site import Site, until
from tests.live.terminal import Terminal

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


@SIGNALS
async def test_a_signal_ends_every_command_that_runs_on(
    home: Site, terminal: Terminal, number: signal.Signals
) -> None:
    house = await home.account("house")
    saved(await home.device("greenhouse", house), terminal.home, "device")
    account = saved(house, terminal.home, "house")
    async with (
        terminal.started("-v", "agent", "run", agent_file(terminal.home, "device.toml")) as agent,
        terminal.started("watch", "-a", account) as watch,
        terminal.started("controller", "run", "-a", account, "--metrics-port", 0) as controller,
        terminal.started("server", "run", "--kind", "prosody", "--directory", terminal.home / "s") as server,
    ):
        await agent.says("is online as", on="err")
        await watch.says("online: ")
        await controller.says("controlling as", on="err")
        await server.says("Next: iotxmpp device add greenhouse-1 --account")
        ended = await asyncio.gather(*(each.end(number) for each in (agent, watch, controller, server)))
    assert [each.code for each in ended] == [0, 0, 0, 0]
    assert terminal.left_behind == []


class SilentPort:
    """A port that takes connections, and says nothing."""

    def __init__(self) -> None:
        self.number = 0
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.number = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def connected(self, count: int) -> None:
        """Waits for so many connections."""
        await until(lambda: len(self._open) >= count, f"{count} connections")

    def _take(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)


@pytest.fixture
async def silent() -> AsyncIterator[SilentPort]:
    async with SilentPort() as port:
        yield port


@SIGNALS
async def test_a_signal_ends_a_command_that_still_connects(
    silent: SilentPort, terminal: Terminal, number: signal.Signals
) -> None:
    account = saved(changed(ELSEWHERE, port=silent.number), terminal.home, "device")
    async with (
        terminal.started("agent", "run", agent_file(terminal.home, "device.toml")) as agent,
        terminal.started("watch", "-a", account) as watch,
        terminal.started("controller", "run", "-a", account, "--metrics-port", 0) as controller,
    ):
        await silent.connected(3)
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*(each.end(number) for each in (agent, watch, controller)))
    assert [(each.code, each.out, each.err) for each in ended] == [(0, "", "")] * 3
    assert terminal.left_behind == []


async def test_ctrl_c_ends_a_command_that_waits_for_its_answer(
    silent: SilentPort, terminal: Terminal
) -> None:
    account = saved(changed(ELSEWHERE, port=silent.number), terminal.home, "device")
    async with terminal.started("device", "list", "-a", account) as started:
        await silent.connected(1)
        async with asyncio.timeout(ATTEMPT_TIMEOUT / 2):
            assert (await started.end(signal.SIGINT)).code == 130
