"""The servers' configurations, as pure text, and the programs that they need."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.server import ServerKind, ejabberd, install_hint, installed, programs, prosody
from iotxmpp.server.layout import Layout, Settings
from iotxmpp.server.programs import Programs

ERL = Programs(executable=Path("/usr/bin/erl"), ebin=Path("/usr/lib/ejabberd-23.01/ebin"))


def settings(directory: str = "/srv/a b", domain: str = "iot.example.org") -> Settings:
    def account(name: str) -> Account:
        return Account(jid=f"{name}@{domain}", password=SecretStr(f"{name}-secret"))

    return Settings(
        layout=Layout(Path(directory)),
        domain=domain,
        port=15222,
        direct_port=15223,
        admin=account("admin"),
        controller=account("controller"),
    )


def test_no_configuration_of_prosody_tells_a_password() -> None:
    recipe = prosody.recipe(settings(), Programs(executable=Path("/usr/bin/prosody")))
    assert "-secret" not in "".join([*recipe.command, *recipe.files.values(), *recipe.env.values()])


def test_ejabberd_gets_passwords_in_one_file_that_is_removed() -> None:
    recipe = ejabberd.recipe(settings(), ERL)
    secret = ",".join(str(byte) for byte in b"admin-secret")
    (script,) = recipe.secrets
    assert secret in recipe.files[script]
    others = [text for path, text in recipe.files.items() if path != script]
    assert not any(word in text for text in [*recipe.command, *others] for word in (secret, "-secret"))


def test_scram_keys_are_those_of_the_standard() -> None:
    keys = prosody.scram_keys(settings().admin)
    salted = hashlib.pbkdf2_hmac("sha256", b"admin-secret", str(keys["salt"]).encode(), 10000)
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    assert keys["stored_key"] == hashlib.sha256(client_key).hexdigest()
    assert keys["server_key"] == hmac.new(salted, b"Server Key", hashlib.sha256).hexdigest()
    assert keys["salt"] != prosody.scram_keys(settings().admin)["salt"]


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("/srv/a b", '"/srv/a b"'),
        ('x" .. y', '"x\\034 .. y"'),
        ("back\\slash", '"back\\092slash"'),
        ("new\nline1", '"new\\010line1"'),
        ("ü", '"\\195\\188"'),
    ],
)
def test_lua_strings_hold_anything(text: str, literal: str) -> None:
    assert prosody.lua_string(text) == literal


def test_prosody_listens_on_loopback_and_speaks_to_no_other_server() -> None:
    text = prosody.config_text(settings())
    for line in (
        'interfaces = { "127.0.0.1" }',
        "c2s_ports = { 15222 }",
        "c2s_direct_tls_ports = { 15223 }",
        "s2s_ports = {}",
        "http_ports = {}",
        'modules_disabled = { "s2s", "s2s_auth_certs", "offline" }',
        "c2s_require_encryption = true",
        "c2s_stanza_size_limit = 262144",
        "network_settings = { read_timeout = 20; nagle = false }",
        'gc = { mode = "incremental"; threshold = 200 }',
        "smacks_hibernation_time = 20",
        'Component "pubsub.iot.example.org" "pubsub"',
    ):
        assert line in text.replace("\t", "").splitlines()


def test_ejabberd_listens_on_loopback_and_speaks_to_no_other_server() -> None:
    config = json.loads(ejabberd.config_text(settings()))
    assert {(entry["ip"], entry["module"], entry["port"]) for entry in config["listen"]} == {
        ("127.0.0.1", "ejabberd_c2s", 15222),
        ("127.0.0.1", "ejabberd_c2s", 15223),
    }
    assert {entry["max_stanza_size"] for entry in config["listen"]} == {262144}
    assert config["modules"]["mod_ping"]["timeout_action"] == "kill"
    assert config["modules"]["mod_stream_mgmt"] == {"resume_timeout": "20 s", "ack_timeout": "10 s"}
    assert config["s2s_access"] == "none"
    assert config["acme"] == {"auto": False}
    assert config["modules"]["mod_pubsub"]["access_createnode"] == "iotxmpp_admin"
    assert config["modules"]["mod_pubsub"]["default_node_config"]["access_model"] == "whitelist"


def test_ejabberd_has_no_node_name_and_no_path_that_needs_quoting() -> None:
    recipe = ejabberd.recipe(settings('/srv/"; halt(). %'), ERL)
    assert not {"-name", "-sname"} & set(recipe.command)
    assert not any("halt(). %" in word for word in [*recipe.command, *recipe.env.values()])


@pytest.mark.parametrize("kind", ServerKind)
def test_a_missing_program_is_said_with_what_to_do(
    kind: ServerKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert installed(kind)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_SYSTEM_FOLDERS", ())
    assert not installed(kind)
    assert f"apt-get install --no-install-recommends {kind}" in install_hint(kind)


def test_programs_of_administrators_are_found_without_their_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(installed(kind) for kind in ServerKind)


def test_the_newest_modules_of_ejabberd_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version in ("ejabberd-9.12", "ejabberd-23.01-1", "ejabberd-24.02"):
        ebin = tmp_path / "usr/lib/arch" / version / "ebin"
        ebin.mkdir(parents=True)
        if version != "ejabberd-24.02":
            (ebin / "ejabberd.app").write_text("")
    monkeypatch.setattr(programs, "_which", lambda _name: None)
    found = programs._ejabberd_modules(tmp_path)
    assert found is not None
    assert found.parent.name == "ejabberd-23.01-1"
