"""Running until a signal."""

import asyncio
import os
import signal
from types import TracebackType

import pytest

from iotxmpp.controller import Controller
from iotxmpp.controller.running import run_until_signal
from iotxmpp.memory import MemoryServer
from tests.unit.controller_world import HOUSE, account


class Entered:
    """Sends a signal to its own process once it runs."""

    def __init__(self, number: signal.Signals, *, while_entering: bool) -> None:
        self.number = number
        self.while_entering = while_entering
        self.left = False

    async def __aenter__(self) -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), self.number)
        if self.while_entering:
            await asyncio.sleep(2)
            raise AssertionError("the signal did not come through")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(0)
        self.left = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    entered = Entered(number, while_entering=False)
    run_until_signal(entered)
    assert entered.left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_it_connects(number: signal.Signals) -> None:
    run_until_signal(Entered(number, while_entering=True))


def test_an_error_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotxmpp.controller.controller._open_link", MemoryServer().link)
    with pytest.raises(SystemExit) as caught:
        Controller(account(HOUSE), store="sqlite://").run()
    assert caught.value.code == 1
    assert (
        capsys.readouterr().err == "error: the server refused the name or the password of house@localhost\n"
    )
