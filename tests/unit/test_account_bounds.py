"""An account's file is read within bounds, whatever it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iotxmpp.account import Account
from iotxmpp.cli.app import app
from iotxmpp.errors import ConfigError


def test_a_pipe_that_nobody_writes_to_is_no_account(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hall.toml")
    code = "import sys; from pathlib import Path; from iotxmpp.account import Account\n"
    code += "Account.load(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "hall.toml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "it is no regular file; give one" in done.stderr


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)  # with holes: it takes no room
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"hall\.toml: longer than 32768 bytes; give a shorter file"):
        Account.load(file)


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(ConfigError, match="null byte"):
        Account.load(Path("a\0"))


def test_a_credential_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with (tmp_path / "hall-password").open("wb") as opened:
        opened.truncate(1 << 40)
    file = tmp_path / "hall.toml"
    file.write_text('jid = "hall@example.org"\npassword_credential = "hall-password"\n')
    with pytest.raises(ConfigError, match="password_credential 'hall-password': longer than"):
        Account.load(file)


@pytest.mark.parametrize("name", ["hall.fifo", "a\\u0000"])
def test_the_doctor_tells_such_an_account(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "hall.fifo")
    config = tmp_path / "agent.toml"
    config.write_text(f'account = "{name}"\nprofile = "bme280"\n')
    code = "import sys; from iotxmpp.cli import main; main()"
    words = ["doctor", str(config), "--only", "login"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "without an account, no server can be asked" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_account_that_cannot_be_looked_at_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> Account:
        raise OSError(f"{path}: the folder's server is away")

    monkeypatch.setattr(Account, "load", fail)
    done = CliRunner().invoke(app, ["doctor", "--account", str(tmp_path / "hall.toml"), "--only", "login"])
    assert done.exit_code == 1
    assert "the check login could not be made" in done.stdout
