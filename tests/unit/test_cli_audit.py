"""`iotxmpp audit`: what it shows and finds, beside a running agent."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from iotxmpp.cli.audit import app
from iotxmpp.controller.store.places import audit_place, default_store_url
from iotxmpp.errors import ArgumentsError, ConfigError, InvalidError, StoreError
from iotxmpp.serving.audit import audit_path
from tests.unit.test_audit import entry, lines, opened, write


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_verify_tells_and_its_exit_code_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, range(3))
    fine = run("verify", str(path))
    assert fine.exit_code == 0
    assert "3 lines, unchanged; the last is 3:" in fine.stdout
    kept = fine.stdout.split()[-1]
    assert run("verify", str(path), "--expect", kept).exit_code == 0
    path.write_bytes(b"".join(lines(path)[:-1]))
    broken = run("verify", str(path), "--json", "--expect", kept)
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["fault"] == "the log ends with line 2; lines up to 3 were removed"
    assert "lines up to 3 were removed" in run("verify", str(path)).stdout
    with pytest.raises(ArgumentsError, match="--expect"):
        run("verify", str(path), "--expect", "three")


def test_show_chooses_by_who_command_and_time(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with closing(opened(path)) as log:
        log.append(entry(0))
        log.append(entry(1, who="house@example.org/x", by="carol@example.org", command="drain"))
        log.append(
            entry(2, who="eve@example.net/x", by="eve@example.net", result="refused", text="no\x1b[2J")
        )

    def ids(*options: str) -> list[str]:
        told = run("show", str(path), "--json", *options).stdout.splitlines()
        return [json.loads(each)["id"] for each in told]

    assert ids() == ["call-0", "call-1", "call-2"]
    assert ids("--who", "Carol@example.org") == ["call-1"]
    assert ids("--who", "house@example.org") == ["call-1"]
    assert ids("--command", "water") == ["call-0", "call-2"]
    assert ids("--since", "2026-09-21T00:00Z") == ["call-0", "call-1", "call-2"]
    assert ids("--since", "2027-01-01") == []
    assert ids("--limit", "1") == ["call-2"]
    text = run("show", str(path)).stdout
    assert "\x1b[2J" not in text
    assert "nothing of that kind" in run("show", str(path), "--command", "fly").stderr


def test_both_say_from_when_on_there_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    write(path, [])
    assert "the log has no line yet" in run("verify", str(path)).stdout
    write(path, range(3))
    assert "all lines are there, from 2026-09-21" in run("verify", str(path)).stdout
    write(path, range(3, 40), most_bytes=1500, most_files=2)
    oldest = run("show", str(path), "--json")
    first = json.loads(oldest.stdout.splitlines()[0])
    begins = f"lines are there from number {first['n']}, 2026-09-21"
    assert first["n"] > 1
    assert begins in oldest.stderr
    told = run("verify", str(path))
    assert begins in told.stdout
    assert "the files of older ones were dropped" in told.stdout
    verdict = json.loads(run("verify", str(path), "--json").stdout)
    assert (verdict["first"], verdict["since"]) == (first["n"], first["time"])


def test_the_log_is_found_by_the_agents_file_and_by_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account.toml"
    account.write_text('jid = "greenhouse@example.org"\npassword = "secret"\n')
    account.chmod(0o600)
    config = tmp_path / "agent.toml"
    config.write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\noutbox = "green.db"\n'
    )
    write(tmp_path / "green.audit.log", [0])
    assert run("verify", "--config", str(config)).exit_code == 0
    config.write_text(
        'account = "account.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\noutbox = "memory"\n'
    )
    with pytest.raises(InvalidError, match="in memory"):
        run("show", "--config", str(config))
    monkeypatch.setenv("IOTXMPP_STATE", str(tmp_path / "state"))
    write(audit_path(tmp_path / "state" / "greenhouse@example.org" / "outbox.db"), [0])
    assert run("show", "--account", str(account), "--json").stdout.count("\n") == 1
    with pytest.raises(ConfigError):
        run("verify", "--account", str(tmp_path / "none.toml"))


def test_the_log_of_a_controller_is_found_by_its_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "house.toml"
    account.write_text('jid = "house@example.org"\npassword = "secret"\n')
    account.chmod(0o600)
    monkeypatch.delenv("IOTXMPP_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(StoreError, match=r"outbox\.audit\.log nor .*controller\.audit\.log is there"):
        run("verify", "-a", str(account))
    log = audit_place(default_store_url("house@example.org"), "house@example.org")
    assert log is not None
    write(log, range(2))
    assert "2 lines, unchanged" in run("verify", "-a", str(account)).stdout
    assert run("show", "-a", str(account), "--json").stdout.count("\n") == 2
    write(audit_path(log.with_name("outbox.db")), [0])
    with pytest.raises(InvalidError, match="two audit logs"):
        run("show", "-a", str(account))
