"""The account files of a private server."""

import stat
from pathlib import Path

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.server import ServerKind
from iotxmpp.server.accounts import ensure
from iotxmpp.server.layout import Layout
from iotxmpp.server.settings import Remembered


def settings(port: int = 15222) -> Remembered:
    return Remembered(kind=ServerKind.PROSODY, domain="iot.example.org", port=port, direct_port=15223)


def test_the_files_load_and_are_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = ensure(layout, settings())
    assert Account.load(layout.admin) == first.admin
    assert Account.load(layout.controller) == first.controller
    assert stat.S_IMODE(layout.admin.stat().st_mode) == 0o600
    admin = first.admin
    assert (admin.jid, admin.host, admin.port) == ("admin@iot.example.org", "127.0.0.1", 15222)
    assert (admin.tls, admin.ca, admin.service) == ("starttls", layout.ca, "pubsub.iot.example.org")
    assert admin.controllers == ("controller@iot.example.org",)


def test_passwords_stay_and_ports_follow(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    before, after = ensure(layout, settings()), ensure(layout, settings(port=16000))
    assert after.admin.password == before.admin.password
    assert after.controller.password == before.controller.password
    assert before.admin.password != before.controller.password
    assert Account.load(layout.controller).port == 16000


def test_a_saved_account_loads_whatever_its_password_holds(tmp_path: Path) -> None:
    account = Account(jid="a@b", password=SecretStr('qu"ote\\ \t ü 🙂'), ca=tmp_path / "ü.pem")
    account.save(tmp_path / "a.toml")
    assert Account.load(tmp_path / "a.toml") == account
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]
