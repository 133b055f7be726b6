"""Where trusted certificates come from: a file of the account's, read within bounds."""

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.errors import ConfigError
from iotxmpp.server.certificate import renewed
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.trust import tls_context

CODE = "import sys; from iotxmpp.cli import main; main()"
TOLD = "no certificates can be read from it"


def account(ca: Path) -> Account:
    return Account(jid="hall@example.org", password=SecretStr("x"), host="127.0.0.1", port=1, ca=ca)


def place(folder: Path, kind: str) -> Path:
    """What stands where the certificates should be."""
    path = folder / "ca.pem"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "long":
            with path.open("wb") as file:
                file.truncate(1 << 40)  # with holes: it takes no room
        case "no PEM":
            path.write_text("nonsense")
        case "bad PEM":
            path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        case "key":
            path.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        case "trusted":  # as `openssl x509 -trustout` writes it
            path.write_text("-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n")
        case "empty":
            path.touch()
    return path


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", CODE, *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "kind", ["pipe", "folder", "long", "no PEM", "bad PEM", "key", "trusted", "empty", "missing"]
)
def test_the_doctor_and_the_agent_tell_what_is_wrong_with_ca(tmp_path: Path, kind: str) -> None:
    account(place(tmp_path, kind)).save(tmp_path / "hall.toml")
    done = run("doctor", "--account", str(tmp_path / "hall.toml"), "--only", "server", "--json")
    told = json.loads(done.stdout)
    ours = [each for each in told["findings"] if each["check"] == "login"]
    assert (done.returncode, told["faults"], len(ours)) == (1, 1, 1)
    assert TOLD in ours[0]["what"]
    assert {each["check"] for each in told["findings"]} == {"dns", "login"}
    if kind in ("pipe", "missing"):
        config = tmp_path / "agent.toml"
        config.write_text(
            'account = "hall.toml"\nprofile = "bme280"\noutbox = "memory"\ndriver = { simulated = true }\n'
        )
        ended = run("agent", "run", str(config))
        assert (ended.returncode, TOLD in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)


def test_a_ca_with_a_nul_is_refused_where_the_account_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hall.toml"
    path.write_text('jid = "hall@example.org"\npassword = "x"\nca = "a\\u0000b"\n')
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"hall\.toml: ca: .*NUL character.*; give another path"):
        Account.load(path)
    done = run("doctor", "--account", str(path), "--only", "login")
    assert (done.returncode, "faults: 1" in done.stdout, "Traceback" in done.stderr) == (1, True, False)


def test_names_in_any_encoding_may_stand_between_the_certificates(tmp_path: Path) -> None:
    made = renewed(None, "example.org", datetime.now(UTC))
    path = tmp_path / "ca.pem"
    path.write_bytes("# Főtanúsítvány\n".encode() + made.ca + "# Autorité\n".encode("latin-1") + made.ca)
    assert len(tls_context(account(path)).get_ca_certs()) == 1


def test_a_trusted_certificate_of_openssl_is_made_a_plain_one_as_advised(tmp_path: Path) -> None:
    plain, trusted = tmp_path / "made.pem", tmp_path / "c a.pem"
    plain.write_bytes(renewed(None, "example.org", datetime.now(UTC)).ca)
    make = [
        "openssl",
        "x509",
        "-in",
        str(plain),
        "-trustout",
        "-addtrust",
        "serverAuth",
        "-out",
        str(trusted),
    ]
    subprocess.run(make, timeout=30, check=True)
    with pytest.raises(ConfigError, match="it holds a trusted certificate of OpenSSL") as told:
        tls_context(account(trusted))
    words = shlex.split(str(told.value).partition("run: ")[2].partition(", and give")[0])
    subprocess.run(words, timeout=30, check=True)
    assert len(tls_context(account(Path(words[-1]))).get_ca_certs()) == 1


@pytest.mark.parametrize("domain", ["xn--a.de", "ab--c.de", "a%b"])
def test_a_domain_that_idna_does_not_take_is_told_where_the_client_is_made(domain: str) -> None:
    good = account(Path("none.pem")).model_copy(update={"ca": None})
    wrong = {"jid": f"hall@{domain}", "service": domain, "controllers": (f"house@{domain}",)}
    for key, value in wrong.items():
        with pytest.raises(ConfigError, match=rf"{key}: '.*{domain}': .*idna.*; correct it"):
            StrictClient(good.model_copy(update={key: value}), resource=None)


def test_agent_run_ends_with_it(tmp_path: Path) -> None:
    Account(jid="hall@xn--a.de", password=SecretStr("x")).save(tmp_path / "hall.toml")
    config = tmp_path / "agent.toml"
    config.write_text(
        'account = "hall.toml"\nprofile = "bme280"\noutbox = "memory"\ndriver = { simulated = true }\n'
    )
    ended = run("agent", "run", str(config))
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert "account hall@xn--a.de: jid:" in ended.stderr
