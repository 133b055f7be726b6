import asyncio
import logging
import os
import signal
import subprocess
import sys

import pytest

from iotxmpp import Agent
from iotxmpp.agent.script import run_script
from iotxmpp.errors import CertificateError

LAZY = """
import sys
import iotxmpp
assert not [name for name in sys.modules if name.startswith("iotxmpp.")], "importing iotxmpp loads nothing"
from iotxmpp import Account, Agent, Channel, Reading
agent = Agent("greenhouse@example.org")
@agent.command
def water(seconds: int = 10) -> str: ...
wrong = {"iotxmpp.controller", "iotxmpp.cli", "iotxmpp.memory", "iotxmpp.profiles", "prometheus_client",
    "sqlalchemy", "typer", "rich", "slixmpp"} & set(sys.modules)
assert not wrong, wrong
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ended = []

    async def serve() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(True)

    run_script(serve, "greenhouse")
    assert ended == [True]
    assert "greenhouse has stopped" in caplog.text


def test_an_error_of_ours_ends_it_with_one_line() -> None:
    async def serve() -> None:
        raise CertificateError("example.org: the certificate is not trusted")

    with pytest.raises(SystemExit) as caught:
        run_script(serve, "greenhouse")
    assert caught.value.code == "greenhouse: example.org: the certificate is not trusted"


def test_an_error_of_the_program_is_not_hidden() -> None:
    async def serve() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_script(serve, "greenhouse")


def test_a_script_without_a_password_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTXMPP_PASSWORD", raising=False)
    monkeypatch.delenv("IOTXMPP_ACCOUNT", raising=False)
    with pytest.raises(SystemExit, match=r"no password for greenhouse@example\.org: set IOTXMPP_PASSWORD"):
        Agent("greenhouse@example.org").run()


def test_a_hanging_sensor_does_not_hold_back_the_end() -> None:
    script = (
        "import asyncio, time\n"
        "from iotxmpp.serving.offloop import call\n"
        "async def main():\n"
        "    task = asyncio.ensure_future(call(lambda: time.sleep(60)))\n"
        "    await asyncio.sleep(0.05)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=10)


def test_an_agent_loads_nothing_of_the_controllers() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", LAZY], check=True, timeout=20)


def test_every_public_name_is_offered_and_others_are_not() -> None:
    import iotxmpp

    assert set(iotxmpp.__all__) <= set(dir(iotxmpp))
    for name in ("Account", "Agent", "Channel", "IotxmppError", "Reading", "__version__"):
        assert getattr(iotxmpp, name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = iotxmpp.Nothing  # type: ignore[attr-defined]  # that is the test
