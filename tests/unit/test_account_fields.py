"""What the fields of an account's file may hold; a fault names file, key and fix, and no password."""

import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid
from iotxmpp.agent.config import check_agent
from iotxmpp.errors import ConfigError

WRONG = {
    "space": ('service = "a b"', "service: .*expected a domain, such as pubsub.example.org"),
    "account": ('service = "a@b"', "service: .*expected a domain"),
    "nul": ('host = "a\\u0000b"', "host: .*no host's name or address; give one, without spaces"),
    "line": ('host = "a\\nb"', "host: .*without spaces"),
    "blank": ('host = "a b"', "host: .*without spaces"),
    "dots": ('host = "a..b"', "host: .*without spaces"),
    "long": (f'host = "{"a" * 64}.org"', "host: .*without spaces"),
    "idna": ('host = "' + "\u00fc" * 60 + '.org"', "host: .*1 to 63 letters, digits and hyphens"),
    "none": ('host = ""', "host: .*without spaces"),
    "true": ('host = "a"\nport = true', "port: Input should be a valid integer"),
    "text": ('host = "a"\nport = "5222"', "port: Input should be a valid integer"),
    "float": ('host = "a"\nport = 5222.0', "port: Input should be a valid integer"),
}


def write(folder: Path, lines: str, hidden: str = "hidden-one") -> Path:
    path = folder / "hall.toml"
    path.write_text(f'jid = "hall@example.org"\npassword = "{hidden}"\n{lines}\n')
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_told_with_file_key_and_fix(tmp_path: Path, name: str) -> None:
    lines, told = WRONG[name]
    path = write(tmp_path, lines)
    with pytest.raises(ConfigError, match=rf"^account file {re.escape(str(path))}: {told}") as error:
        Account.load(path)
    assert "hidden-one" not in str(error.value)
    (tmp_path / "agent.toml").write_text('account = "hall.toml"\nprofile = "bme280"\n')
    assert check_agent(tmp_path / "agent.toml") == [str(error.value)]


DOMAINS = ["a..b", ".a", f"{'a' * 64}.org", "-a.org", "\u00fc" * 60 + ".org", "a\u200b..b", "\u0627a.org"]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("key", ["jid", "service", "controllers", "collector"])
def test_a_domain_that_no_look_up_can_take_is_told(tmp_path: Path, key: str, domain: str) -> None:
    table = {"jid": "hall@example.org", "controllers": ["desk@example.org"], "collector": "desk@example.org"}
    given = {"service": domain, "controllers": [f"hall@{domain}"]}.get(key, f"hall@{domain}")
    path = tmp_path / "hall.toml"
    rows = {**table, key: given, "password": "x"}.items()
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in rows))
    path.chmod(0o600)
    with pytest.raises(
        ConfigError, match=rf"^account file {re.escape(str(path))}: {key}: .*is no domain's name"
    ):
        Account.load(path)


@pytest.mark.parametrize(
    "domain", ["a_b.lan", "b\u00fccher.example", "[::1]", "192.0.2.7", "a.b.", "x1--y.org"]
)
def test_a_domain_that_can_be_looked_up_is_taken(domain: str) -> None:
    assert bare_jid(f"hall@{domain}") == f"hall@{domain}"


@pytest.mark.parametrize("character", ["\\u0000", "\\u0001", "\\u001b", "\\uffff"])
def test_a_password_that_xml_cannot_carry_is_refused_and_not_shown(tmp_path: Path, character: str) -> None:
    path = write(tmp_path, "", f"hidden{character}one")
    with pytest.raises(ConfigError, match=r"hall\.toml: password: .*; set another password") as error:
        Account.load(path)
    assert "hidden" not in f"{error.value}{error.value.__cause__}"


def test_a_password_from_the_environment_is_held_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTXMPP_ACCOUNT", raising=False)
    with pytest.raises(ConfigError, match=r"account hall@example\.org: password: "):
        Account.find("hall@example.org", password="hidden\x01")


def test_what_a_program_gives_stays_right() -> None:
    secret = SecretStr("p\u00e4ss w\u00f6rd\t")
    account = Account(
        jid="hall@Example.org", password=secret, host="::1", port=5222, service="Pub.example.org"
    )
    assert (account.port, account.host, account.service) == (5222, "::1", "pub.example.org")
    for host in ("127.0.0.1", "fe80::1%eth0", "mail.example.org.", "bücher.example", "localhost"):
        assert Account(jid="hall@example.org", password=secret, host=host).host == host
    assert Account(jid="hall@[::1]", password=secret).service == "pubsub.[::1]"
    with pytest.raises(ValidationError, match="port"):
        Account(jid="hall@example.org", password=secret, host="a", port=True)


def test_a_relative_ca_starts_at_the_accounts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "accounts").mkdir()
    path = write(tmp_path / "accounts", 'ca = "pki/ca.pem"')
    assert Account.load(path).ca == tmp_path / "accounts" / "pki" / "ca.pem"
    monkeypatch.chdir(tmp_path)
    assert Account.load(path.relative_to(tmp_path)).ca == tmp_path / "accounts" / "pki" / "ca.pem"
    whole = write(tmp_path, 'ca = "/etc/ssl/own.pem"')
    assert Account.load(whole).ca == Path("/etc/ssl/own.pem")
