"""An account's password from systemd's credentials."""

from pathlib import Path

import pytest

from iotxmpp.account import Account
from iotxmpp.errors import ConfigError

OPEN = 'jid = "hall@example.org"\npassword_credential = "hall-password"\n'


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def account_file(folder: Path, text: str = OPEN, mode: int = 0o644) -> Path:
    path = folder / "hall.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_without_a_password_may_be_read_by_all(tmp_path: Path, credentials: Path) -> None:
    (credentials / "hall-password").write_text("p ss'\"wörd\n", encoding="utf-8")
    account = Account.load(account_file(tmp_path))
    assert account.password.get_secret_value() == "p ss'\"wörd"
    assert "wörd" not in account.toml()
    account.save(tmp_path / "copy.toml")
    assert Account.load(tmp_path / "copy.toml") == account


def test_a_credential_that_is_not_given_is_told_with_the_line_of_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credentials: Path
) -> None:
    file = account_file(tmp_path)
    with pytest.raises(ConfigError, match=r"LoadCredential=hall-password:/etc/credstore/hall-password"):
        Account.load(file)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match=r"hall\.toml: password_credential 'hall-password'"):
        Account.load(file)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "a/b"])
def test_a_credential_is_a_name_and_no_path(tmp_path: Path, credentials: Path, name: str) -> None:
    (tmp_path / "secret").write_text("stolen")
    text = f'jid = "hall@example.org"\npassword_credential = "{name}"\n'
    with pytest.raises(ConfigError, match="no such credential"):
        Account.load(account_file(tmp_path, text))


def test_an_empty_or_unreadable_credential_is_no_password(tmp_path: Path, credentials: Path) -> None:
    file = account_file(tmp_path)
    (credentials / "hall-password").write_text("\n")
    with pytest.raises(ConfigError, match="it is empty"):
        Account.load(file)
    (credentials / "hall-password").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="hall-password"):
        Account.load(file)


def test_the_whole_file_may_be_a_credential(tmp_path: Path, credentials: Path) -> None:
    whole = credentials / "hall.toml"
    whole.write_text('jid = "hall@example.org"\npassword = "given by systemd"\n')
    whole.chmod(0o440)  # as systemd leaves it, with an access list for the service's user
    account = Account.load(tmp_path / "nowhere/hall.toml")
    assert account.password.get_secret_value() == "given by systemd"


def test_a_password_in_a_file_still_keeps_others_out(tmp_path: Path) -> None:
    text = 'jid = "hall@example.org"\npassword = "x"\npassword_credential = "y"\n'
    with pytest.raises(ConfigError, match="others may read its password"):
        Account.load(account_file(tmp_path, text))
    with pytest.raises(ConfigError, match="others may read its password"):
        Account.load(account_file(tmp_path, 'password = "x'))
    assert Account.load(account_file(tmp_path, text, 0o600)).password.get_secret_value() == "x"
