"""Which account a command acts for, and for how long."""

from pathlib import Path

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from iotxmpp.account import ACCOUNT_VARIABLE, Account
from iotxmpp.cli import options
from iotxmpp.cli.app import app
from iotxmpp.cli.options import checked_seconds, chosen_account, server_directory
from iotxmpp.errors import ConfigError


def saved(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    Account(jid=f"{name}@example.org", password=SecretStr("secret")).save(path)
    return path


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the local server's accounts would be."""
    monkeypatch.delenv(ACCOUNT_VARIABLE, raising=False)
    monkeypatch.setattr(options, "server_directory", lambda: tmp_path / "server")
    return tmp_path / "server"


def test_the_option_goes_before_the_variable_and_that_before_the_local_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local: Path
) -> None:
    given, named = saved(tmp_path, "given"), saved(tmp_path, "named")
    saved(local, "admin")
    saved(local, "controller")
    assert chosen_account(None, "admin").name == "admin"
    assert chosen_account(None, "controller").name == "controller"
    monkeypatch.setenv(ACCOUNT_VARIABLE, str(named))
    assert chosen_account(None, "admin").name == "named"
    assert chosen_account(given, "admin").name == "given"


def test_without_any_account_the_error_says_what_to_do(local: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen_account(None, "admin")
    assert str(caught.value) == (
        f"no account: give --account FILE, set {ACCOUNT_VARIABLE}, or start a local server with"
        f" `iotxmpp server run` (it would write {local / 'admin.toml'})"
    )


def test_a_named_account_that_is_missing_is_no_reason_to_take_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local: Path
) -> None:
    saved(local, "admin")
    monkeypatch.setenv(ACCOUNT_VARIABLE, str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        chosen_account(None, "admin")
    with pytest.raises(ConfigError, match=r"other\.toml"):
        chosen_account(tmp_path / "other.toml", "admin")


@pytest.mark.parametrize(
    ("user", "variables", "expected"),
    [
        (0, {"HOME": "/root"}, "/var/lib/iotxmpp/server"),
        (1000, {"HOME": "/home/me"}, "/home/me/.local/share/iotxmpp/server"),
        (1000, {"HOME": "/home/me", "XDG_DATA_HOME": "/data"}, "/data/iotxmpp/server"),
    ],
)
def test_where_the_local_server_lives(
    monkeypatch: pytest.MonkeyPatch, user: int, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert server_directory() == Path(expected)


@pytest.mark.parametrize("seconds", [None, 0.001, 7.0, 1e9])
def test_a_time_that_can_pass_is_taken(seconds: float | None) -> None:
    assert checked_seconds(seconds) == seconds


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_time_that_cannot_pass_is_refused(seconds: float) -> None:
    with pytest.raises(typer.BadParameter, match=f"{seconds:g} is not a positive"):
        checked_seconds(seconds)


@pytest.mark.parametrize("command", ["watch", "demo"])
def test_every_command_with_an_end_checks_it(command: str) -> None:
    ended = CliRunner().invoke(app, [command, "--seconds", "inf"])
    assert ended.exit_code == 2
    assert "inf is not a positive" in " ".join(ended.output.split())
