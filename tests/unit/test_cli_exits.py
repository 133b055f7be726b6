"""Exit codes: each error's own, and how the program ends with it."""

import errno
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from iotxmpp import errors
from iotxmpp.cli import entry, watch
from iotxmpp.cli.exits import Exit, exit_code
from iotxmpp.cli.logs import set_up_logging
from iotxmpp.server import ServerStartError

CODES: dict[str, Exit] = {
    "IotxmppError": Exit.FAILED,
    "InvalidError": Exit.USAGE,
    "ConfigError": Exit.USAGE,
    "ConnectError": Exit.UNREACHABLE,
    "HostError": Exit.UNREACHABLE,
    "CertificateError": Exit.INSECURE,
    "SecurityError": Exit.INSECURE,
    "CredentialsError": Exit.CREDENTIALS,
    "LinkDownError": Exit.UNKNOWN_OUTCOME,
    "NoAnswerError": Exit.UNKNOWN_OUTCOME,
    "StanzaError": Exit.FAILED,
    "ForbiddenError": Exit.NOT_ALLOWED,
    "NotFoundError": Exit.NOT_FOUND,
    "ConflictError": Exit.FAILED,
    "UnreachableError": Exit.FAILED,
    "StoreError": Exit.FAILED,
    "OutboxFullError": Exit.FAILED,
    "UnknownDeviceError": Exit.NOT_FOUND,
    "UnknownChannelError": Exit.NOT_FOUND,
    "CommandError": Exit.FAILED,
    "ArgumentsError": Exit.USAGE,
    "UnknownCommandError": Exit.NOT_FOUND,
    "NotAllowedError": Exit.NOT_ALLOWED,
    "CommandFailedError": Exit.FAILED,
    "CommandUnknownError": Exit.UNKNOWN_OUTCOME,
    "CommandCancelledError": Exit.FAILED,
    "CommandExpiredError": Exit.FAILED,
    "CommandConflictError": Exit.FAILED,
    "DeviceAwayError": Exit.AWAY,
}


def test_every_error_has_its_code() -> None:
    found = {
        name: exit_code(kind("it is"))
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.IotxmppError)
    }
    assert found == CODES


def test_the_codes_are_those_that_scripts_know() -> None:
    assert {each.name: each.value for each in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "CREDENTIALS": 4,
        "INSECURE": 5,
        "NOT_FOUND": 6,
        "NOT_ALLOWED": 7,
        "AWAY": 8,
        "UNKNOWN_OUTCOME": 9,
    }


def test_an_error_ends_the_program_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_arguments: list[str]) -> None:
        raise errors.DeviceAwayError("attic is not online")

    monkeypatch.setattr(entry, "_run", fail)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == Exit.AWAY
    assert capsys.readouterr() == ("", "iotxmpp: attic is not online\n")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            errors.CommandFailedError("stuck\x9b31m\niotxmpp: all is well\u202e"),
            "stuck\\x9b31m\\niotxmpp: all is well\\u202e",
        ),
        (ServerStartError("it ended\n  log: \x1b[2J"), "it ended\n  log: \\x1b[2J"),
    ],
)
def test_an_error_neither_steers_the_terminal_nor_forges_a_line(
    error: errors.IotxmppError,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(entry, "_run", fail)
    with pytest.raises(SystemExit):
        entry.main()
    assert capsys.readouterr().err == f"iotxmpp: {shown}\n"


def test_a_log_is_a_line_a_record_and_a_traceback_is_indented(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("bad\nforged\x9b")

    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    set_up_logging(0)
    try:
        fail()
    except ValueError:
        root.exception("attic says %s", "x\n2026-01-01 00:00:00 INFO forged\x1b[2J")
    first, *more = capsys.readouterr().err.splitlines()
    assert first.endswith(r" ERROR root: attic says x\n2026-01-01 00:00:00 INFO forged\x1b[2J")
    assert more[0] == "  Traceback (most recent call last):"
    assert more[-2:] == ["  ValueError: bad", r"  forged\x9b"]
    assert all(line.startswith("  ") for line in more)


def test_ctrl_c_ends_the_program_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_arguments: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_run", interrupt)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["agent", "run", "a.toml"], (Path("a.toml"), 0)),
        (["-v", "agent", "run", "a.toml"], (Path("a.toml"), 1)),
        (["-v", "--verbose", "agent", "run", "a.toml"], (Path("a.toml"), 2)),
        (["-vv", "agent", "run", "a.toml"], (Path("a.toml"), 2)),
        (["agent", "run", "--help"], None),
        (["agent", "run"], None),
        (["agent", "run", "a.toml", "b.toml"], None),
        (["watch"], None),
        ([], None),
    ],
)
def test_a_plain_agent_goes_past_typer(arguments: list[str], expected: tuple[Path, int] | None) -> None:
    assert entry._agent_to_run(arguments) == expected


def test_an_agent_runs_without_loading_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith("iotxmpp.cli.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["iotxmpp", "agent", "run", str(tmp_path / "agent.toml")])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == Exit.USAGE
    assert f"iotxmpp: agent file {tmp_path / 'agent.toml'}: " in capsys.readouterr().err
    assert "iotxmpp.cli.app" not in sys.modules


def test_output_without_room_ends_the_program_with_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "iotxmpp", "--version"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == Exit.FAILED
    assert ended.stderr == b"iotxmpp: standard output: No space left on device\n"


def test_what_waits_in_the_buffer_is_written_before_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    discarded: list[bool] = []
    monkeypatch.setattr(entry, "_run", lambda _arguments: None)
    monkeypatch.setattr("iotxmpp.cli.output.discard_output", lambda: discarded.append(True))
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == Exit.FAILED
    assert discarded == [True]
    assert capsys.readouterr().err == "iotxmpp: standard output: No space left on device\n"


def test_an_error_that_is_not_of_the_output_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_arguments: list[str]) -> None:
        raise TimeoutError

    monkeypatch.setattr(entry, "_run", fail)
    with pytest.raises(TimeoutError):
        entry.main()


def test_watch_ends_well_when_nobody_reads_it_any_more_and_with_an_error_when_nobody_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: list[OSError] = [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "full")]
    discarded: list[bool] = []

    async def fail(*_given: object, **_more: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(watch, "_watch", fail)
    monkeypatch.setattr(watch, "chosen_account", lambda *_given: None)
    monkeypatch.setattr(watch, "discard_output", lambda: discarded.append(True))
    watch.watch()
    assert discarded == [True]
    with pytest.raises(OSError, match="full"):
        watch.watch()
    assert discarded == [True]
