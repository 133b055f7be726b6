"""`iotxmpp agent install`: what it writes, refuses and says."""

import os
import pwd
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iotxmpp import systemd
from iotxmpp.cli import install_checks, install_units, install_wanted
from iotxmpp.cli.app import app
from iotxmpp.server.certificate import renewed
from iotxmpp.systemd import is_changed
from tests.unit.documents import TEXTS, blocks
from tests.unit.install_house import AS, BME280, config, folder, install, refused

__all__ = ["config", "folder"]


def test_print_shows_it_and_writes_nothing(config: Path, folder: Path) -> None:
    done = install(config, "--print")
    assert done.exit_code == 0
    assert not is_changed(done.stdout)
    assert f"LoadCredential=hall.account.toml:{config.parent}/hall.account.toml" in done.stdout
    assert "DeviceAllow=char-i2c rw" in done.stdout
    assert "secret" not in done.stdout
    assert not folder.exists()


def test_it_is_written_once_and_tells_what_is_next(config: Path, folder: Path) -> None:
    done = install(config, *AS)
    file = folder / "iotxmpp-hall.service"
    assert (done.exit_code, file.stat().st_mode & 0o777) == (0, 0o644)
    assert "User=nobody\n" in file.read_text()
    assert "systemctl daemon-reload" in done.stdout
    assert "systemctl enable --now iotxmpp-hall" in done.stdout
    before = file.stat().st_mtime_ns
    again = install(config, *AS)
    assert "is up to date" in again.stdout
    assert file.stat().st_mtime_ns == before
    assert [path.name for path in folder.iterdir()] == ["iotxmpp-hall.service"]


def test_a_changed_unit_is_left_alone_without_force(config: Path, folder: Path) -> None:
    install(config, *AS)
    file = folder / "iotxmpp-hall.service"
    changed = file.read_text().replace("RestartSec=5", "RestartSec=1")
    file.write_text(changed)
    assert "systemctl edit iotxmpp-hall" in refused(config, *AS)
    assert "systemctl edit iotxmpp-hall" in refused(config, "--uninstall")
    assert file.read_text() == changed
    assert install(config, *AS, "--force").exit_code == 0
    assert "RestartSec=5" in file.read_text()
    config.write_text(config.read_text() + 'room = "cellar"\ndriver.simulated = true\n')
    assert install(config, *AS).exit_code == 0  # one that we wrote ourselves is replaced
    assert "PrivateDevices=yes" in file.read_text()


def test_it_is_uninstalled(config: Path, folder: Path) -> None:
    install(config, *AS, "--name", "shed.service")
    assert (folder / "shed.service").exists()
    done = install(config, "--uninstall", "--name", "shed")
    assert (done.exit_code, list(folder.iterdir())) == (0, [])
    assert "systemctl stop shed" in done.stdout
    assert "is not there" in install(config, "--uninstall", "--name", "shed").stdout


def test_by_its_name_it_is_uninstalled_whatever_its_file_says(config: Path, folder: Path) -> None:
    for text in ('account = "hall.account.toml"\nprofile = "bme280"\nheartbeat = "3"\n', None):
        install(config, *AS)
        told = config.read_text()
        if text is None:
            config.unlink()
        else:
            config.write_text(text)
        assert "give the unit's name: --name iotxmpp-hall" in refused(config, "--uninstall", "--force")
        assert install(config, "--uninstall", "--name", "iotxmpp-hall").exit_code == 0
        assert not list(folder.iterdir())
        config.write_text(told)
    assert "systemd takes names" in refused(config, "--uninstall", "--name", "../system/x")


def test_without_the_account_the_unit_of_the_file_is_told(config: Path, folder: Path) -> None:
    install(config, *AS)
    (config.parent / "hall.account.toml").unlink()
    (folder / "other.service").write_bytes(b"\xff")
    assert "another unit: give --name iotxmpp-hall" in refused(config, "--uninstall")
    assert (folder / "iotxmpp-hall.service").exists()


def test_a_unit_of_another_agent_is_removed_by_its_name_alone(config: Path, folder: Path) -> None:
    other = config.with_name("other.toml")
    other.write_text(config.read_text())
    install(other, *AS, "--name", "iotxmpp-device")
    (config.parent / "hall.account.toml").unlink()  # so that the name of its unit is not known
    for words in ((), ("--force",)):
        text = refused(config, "--uninstall", *words)
        assert f"iotxmpp-device.service does not run {config}, but {other}; to remove it all the same" in text
        assert text.endswith("give --name iotxmpp-device")
        (folder / "mine.service").write_text(
            (folder / "iotxmpp-device.service").read_text().replace(str(other), str(config))
        )
        assert refused(config, "--uninstall", *words).endswith("another unit: give --name mine")
        (folder / "mine.service").unlink()
    assert (folder / "iotxmpp-device.service").exists()
    assert install(other, "--uninstall").exit_code == 0  # its own, by the same name
    assert not list(folder.iterdir())
    install(other, *AS, "--name", "iotxmpp-device", "--force")
    assert install(config, "--uninstall", "--name", "iotxmpp-device").exit_code == 0


def test_force_is_advised_where_it_helps_alone(config: Path, folder: Path) -> None:
    good = config.read_text()
    config.write_text(good + 'heartbeat = "3"\n')
    assert refused(config, *AS).endswith("heartbeat: Input should be a valid number; mend it")
    assert "heartbeat" in refused(config, *AS, "--force")
    config.write_text(good + "[rename]\nwarmth = 'x'\n")
    assert refused(config, *AS).endswith("mend it, or give --force")


def test_a_users_unit_is_in_the_users_home(config: Path, folder: Path, tmp_path: Path) -> None:
    done = install(config, "--user")
    text = (tmp_path / "home/.config/systemd/user/iotxmpp-hall.service").read_text()
    assert "LoadCredential" not in text
    assert "systemctl --user enable --now iotxmpp-hall" in done.stdout
    assert "loginctl enable-linger" in done.stdout
    assert install(config, "--user", "--system").exit_code == 2
    assert install(config, "--user", *AS).exit_code == 2


def test_a_password_that_is_a_credential_is_asked_for(config: Path, folder: Path) -> None:
    account = config.parent / "hall.account.toml"
    account.write_text('jid = "hall@example.org"\npassword_credential = "iotxmpp-test-hall"\n')
    done = install(config, *AS)
    text = (folder / "iotxmpp-hall.service").read_text()
    assert "LoadCredential=iotxmpp-test-hall:/etc/credstore/iotxmpp-test-hall\n" in text
    assert "sudo install -D -m 600 /dev/stdin /etc/credstore/iotxmpp-test-hall" in done.output


def test_files_that_the_services_own_user_cannot_reach_are_refused(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if config.is_relative_to("/tmp"):  # where pytest makes its folders
        assert "has a /tmp of its own" in refused(config, "--run-as", "dynamic")
    monkeypatch.setattr(systemd, "_SHARED", ())
    config.chmod(0o600)
    text = refused(config, "--run-as", "dynamic")
    assert "others may not read" in text
    assert "/etc/iotxmpp" in text
    assert not folder.exists()


PROFILE = """schema = 1
id = "tank"
version = "1.0.0"
extends = "parent.toml"
driver = { kind = "python", file = "read.py" }
"""
PARENT = """schema = 1
id = "parent"
version = "1.0.0"
driver = { kind = "simulated" }
[readings.level]
type = "float"
"""


@pytest.mark.parametrize("closed", ["tank.toml", "parent.toml", "read.py", "ca.pem", "hall.account.toml"])
def test_each_file_that_the_agent_reads_must_be_open_to_the_services_own_user(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    monkeypatch.setattr(systemd, "_SHARED", ())
    monkeypatch.setattr(install_checks, "_OTHERS_ENTER", 0o700)  # pytest closes its folders
    here = config.parent
    (here / "tank.toml").write_text(PROFILE)
    (here / "parent.toml").write_text(PARENT)
    (here / "read.py").write_text("def read():\n    return 1.5\n")
    (here / "ca.pem").write_bytes(renewed(None, "example.org", datetime.now(UTC)).ca)
    account = 'jid = "hall@example.org"\npassword_credential = "hall"\nca = "ca.pem"\n'
    (here / "hall.account.toml").write_text(account)
    config.write_text('account = "hall.account.toml"\nprofile = "tank.toml"\n')
    for file in here.iterdir():
        file.chmod(0o644)
    (here / closed).chmod(0o600)
    text = refused(config, "--run-as", "dynamic")
    assert f"{closed}: others may not read it, nor may the service's own user; run: chmod o+r" in text
    assert not folder.exists()
    (here / closed).chmod(0o644)
    assert install(config, "--run-as", "dynamic").exit_code == 0


def test_an_account_that_root_reads_may_be_closed(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_SHARED", ())
    monkeypatch.setattr(install_checks, "_OTHERS_ENTER", 0o700)
    config.chmod(0o644)
    assert install(config, "--run-as", "dynamic").exit_code == 0


def test_a_file_beside_the_agents_is_not_taken_for_pythons_own(config: Path, folder: Path) -> None:
    (config.parent / "logging.py").write_text("raise SystemExit('the wrong one')\n")
    done = install(config, "--print")
    (started,) = (line for line in done.stdout.splitlines() if line.startswith("ExecStart="))
    words = started.removeprefix("ExecStart=").partition(" agent run ")[0].split()
    ran = subprocess.run(
        [*words, "agent", "--help"],
        cwd=config.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "the wrong one" not in ran.stderr
    assert ran.returncode == 0


def test_what_is_wrong_is_told(config: Path, folder: Path) -> None:
    assert "no such user" in refused(config, "--run-as", "nobody-of-this-name")
    config.write_text('account = "none.toml"\nprofile = "bme280"\n')
    assert "none.toml" in refused(config)


def test_the_guide_leads_to_a_service(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = TEXTS["docs/install.md"]
    (device,) = (each for each in blocks("sh") if each.marker == "on the device")
    (agent,) = (each for each in blocks("toml") if (each.file, each.marker) == (device.file, "agent"))
    assert guide.index("sudo install -d ") < guide.index("/etc/iotxmpp/")  # made before it is used
    (tmp_path / "greenhouse-1.account.toml").write_text('jid = "greenhouse-1@example.org"\npassword = "x"\n')
    here = tmp_path / "etc/iotxmpp"
    here.parent.mkdir()
    lines = device.text.replace("/etc/iotxmpp", str(here)).replace("sudo ", "")
    subprocess.run(
        ["sh", "-e", "-c", lines],
        input=agent.text,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "USER": pwd.getpwuid(os.geteuid()).pw_name},
        check=True,
        timeout=60,
    )
    modes = {each.name: each.stat().st_mode & 0o777 for each in (here, *here.iterdir())}
    assert modes == {"iotxmpp": 0o755, "agent.toml": 0o644, "greenhouse-1.account.toml": 0o600}
    assert not (tmp_path / "greenhouse-1.account.toml").exists()
    monkeypatch.setattr(systemd, "_SHARED", ())
    monkeypatch.setattr(install_checks, "_OTHERS_ENTER", 0o700)  # pytest closes its folders
    monkeypatch.setattr(subprocess, "run", _fine)
    done = install(here / "agent.toml", "--run-as", "dynamic", "--now")
    assert done.exit_code == 0
    text = (folder / "iotxmpp-greenhouse-1.service").read_text()
    assert f"LoadCredential=greenhouse-1.account.toml:{here}/greenhouse-1.account.toml\n" in text
    assert "enable --now iotxmpp-greenhouse-1" in done.stdout
    assert install(here / "agent.toml", "--uninstall", "--now").exit_code == 0
    assert not list(folder.iterdir())


def _fine(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    """A program that does what it should."""
    return subprocess.CompletedProcess(words, 0, stdout="systemd 252")


def test_a_folder_that_cannot_be_written_is_told(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_units, "SYSTEM_FOLDER", Path("/proc/none"))
    assert "/proc/none/iotxmpp-hall.service cannot be written" in refused(config, *AS)


def test_an_account_that_is_not_there_is_told_by_force(config: Path, folder: Path) -> None:
    (config.parent / "hall.account.toml").unlink()
    done = install(config, *AS, "--force")
    assert done.exit_code == 0
    assert (
        f"There is no account's file {config.parent}/hall.account.toml: the service does not" in done.stderr
    )
    assert "sudo install" not in done.output


def test_a_service_that_may_run_already_is_started_anew(config: Path, folder: Path) -> None:
    assert "restart" not in install(config, *AS).stdout
    config.write_text(f"{BME280}driver.simulated = true\n")
    for said in ("is written", "is up to date"):
        done = install(config, *AS)
        assert said in done.stdout
        assert "systemctl enable iotxmpp-hall\n" in done.stdout
        assert "systemctl restart iotxmpp-hall\n" in done.stdout
    assert "systemctl --user restart" not in install(config, "--user").stdout
    assert "systemctl --user restart iotxmpp-hall\n" in install(config, "--user").stdout


def test_now_runs_the_commands_and_tells_when_one_fails(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, 1 if "enable" in words else 0, stdout="systemd 252")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = install(config, *AS, "--now")
    assert done.exit_code == 1
    assert asked[-2:] == [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "iotxmpp-hall"]]
    assert "ended with code 1" in done.output


WRONG = {
    'driver = { kind = "i2c", chip = "bme280", adress = 118 }\n': "unknown key adress",
    "[rename]\nwarmth = 'x'\n": "rename.warmth",
    "[rename]\ntemperature = 'a b'\n": "rename.temperature",
    "[rename]\ntemperature = 'humidity'\n": "two channels have one name",
    "[calibration.temp]\noffset = 1\n": "calibration.temp",
}


@pytest.mark.parametrize(("more", "words"), WRONG.items())
def test_a_file_that_agent_run_refuses_is_no_service_and_no_good_one(
    config: Path, folder: Path, more: str, words: str
) -> None:
    config.write_text(config.read_text() + more)
    assert words in refused(config, *AS)
    assert words in refused(config, "--print")
    assert not folder.exists()
    examined = CliRunner().invoke(app, ["doctor", str(config), "--only", "clock"])
    assert examined.exit_code == 1
    assert words in examined.stdout
    assert install(config, *AS, "--force").exit_code == 0


def test_a_missing_account_hides_no_other_fault(config: Path, folder: Path) -> None:
    config.write_text('account = "none.toml"\nprofile = "bme280"\n[rename]\nwarmth = "x"\n')
    text = refused(config, *AS)
    assert "none.toml" in text
    assert "rename.warmth" in text
    examined = CliRunner().invoke(app, ["doctor", str(config), "--only", "clock"])
    assert "none.toml" in examined.stdout
    assert "rename.warmth" in examined.stdout


def test_a_file_that_is_not_there_is_not_advised_to_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "none.toml"), "--only", "clock"])
    assert done.exit_code == 1
    assert "there is no such file" in done.stdout
    assert "agent run" not in done.stdout


def test_groups_that_this_machine_lacks_are_told_and_can_be_given(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_wanted, "_groups", list)
    assert "has no such group: i2c" in install(config, "--print").stdout
    given = install(config, "--print", "--groups", "i2c, video").stdout
    assert "SupplementaryGroups=i2c video\n" in given
    assert "no such group" not in given
    assert install(config, "--print", "--groups", "a b").exit_code == 2
