"""What `iotxmpp agent install` tells before a service is started in vain."""

import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotxmpp import systemd
from iotxmpp.agent.outbox.mark import Mark
from iotxmpp.agent.outbox.notes import EpochNotes
from iotxmpp.agent.twinfile import twin_path
from iotxmpp.cli import install_checks
from iotxmpp.cli.install_checks import closed_to, files_of
from iotxmpp.doctor.extras import check_functions
from iotxmpp.serving.auditchain import head_path
from iotxmpp.serving.auditentry import audit_path
from tests.unit.test_cli_agent_install import config, folder, install, refused

__all__ = ["config", "folder"]

TANK = """schema = 1
id = "tank"
version = "1.0.0"
driver = { kind = "python" }
[readings.level]
type = "float"
"""


@pytest.fixture
def tank(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent's file with a module of functions beside it, installed from its folder."""
    here = config.parent
    (here / "tank.toml").write_text(TANK)
    (here / "tank_of_mine.py").write_text("def read():\n    return 1.5\n")
    config.write_text('account = "hall.account.toml"\nprofile = "tank.toml"\n[driver]\n')
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setenv("PYTHONPATH", str(here))
    return config


def test_a_module_that_the_service_would_not_find_is_refused(tank: Path, folder: Path) -> None:
    before = tank.read_text()
    tank.write_text(f'{before}function = "tank_of_mine:read"\n')
    for words in ((), ("--print",)):
        text = refused(tank, "--run-as", "nobody", *words)
        assert 'function = "tank_of_mine:read": there is no module tank_of_mine: for a service' in text
        assert 'file = "tank_of_mine.py" and function = "read"' in text
    assert not folder.exists()
    assert install(tank, "--run-as", "nobody", "--force").exit_code == 0
    tank.write_text(f'{before}file = "tank_of_mine.py"\nfunction = "read"\n')
    assert install(tank, "--run-as", "nobody").exit_code == 0
    tank.write_text(f'{before}function = "json:loads"\n')  # an installed one
    assert install(tank, "--run-as", "nobody").exit_code == 0
    tank.write_text(f'{before}function = "tank_of_mine:read"\nsimulated = true\n')
    assert install(tank, "--run-as", "nobody").exit_code == 0


def test_the_doctor_tells_it(tank: Path) -> None:
    (found,) = check_functions({"function": "json:loads", "command": "tank_of_mine:obey"})
    assert (found.level, found.what) == (
        "fault",
        'command = "tank_of_mine:obey": there is no module tank_of_mine',
    )
    assert found.fix == ('file = "tank_of_mine.py" and command = "obey"',)
    (well,) = check_functions({"function": "json:loads"})
    assert well.level == "ok"


@pytest.mark.parametrize("name", ["json.nosuch", "nosuch_package.sensors", "os.nosuch", "json..x"])
def test_the_whole_name_of_a_module_is_looked_for(tank: Path, name: str) -> None:
    file = f"{name.replace('.', '/')}.py"
    (found,) = check_functions({"function": f"{name}:read"})
    assert found.what == f'function = "{name}:read": there is no module {name}'
    assert found.fix == (f'file = "{file}" and function = "read"',)
    tank.write_text(f'{tank.read_text()}function = "{name}:read"\n')
    assert f"there is no module {name}: for a service" in refused(tank, "--run-as", "nobody")


def test_a_module_in_a_package_is_found_and_not_run() -> None:
    (well,) = check_functions({"function": "json.decoder:nosuch", "command": "wsgiref.simple_server:nosuch"})
    assert well.level == "ok"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter; pytest closes its own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_a_user_who_cannot_read_the_files_is_told(config: Path, folder: Path, open_folder: Path) -> None:
    for file in config.parent.glob("*.toml"):
        shutil.copy(file, open_folder)
    config = open_folder / config.name
    config.chmod(0o600)
    done = install(config, "--run-as", "nobody")
    assert done.exit_code == 0
    assert f"{config}: nobody may not read it, as its mode is; run: sudo chown nobody {config}" in done.stderr
    assert "hall.account.toml" not in done.stderr  # root reads it for the service
    config.chmod(0o644)
    assert str(config) not in install(config, "--run-as", "nobody").stderr


def test_the_owner_the_group_and_the_others_have_rights_of_their_own(open_folder: Path) -> None:
    path = open_folder / "a file"
    path.touch()
    own = pwd.getpwuid(os.geteuid()).pw_name
    path.chmod(0o044)
    assert not list(closed_to("nobody", (path,)))
    path.chmod(0o600)
    (told,) = closed_to("nobody", (path, open_folder / "none"))
    assert told.startswith(f"{path}: nobody may not read it")
    assert not list(closed_to(own, (path,)))
    (open_folder / "closed").mkdir(mode=0o700)
    within = open_folder / "closed/file"
    within.touch()
    (told,) = closed_to("nobody", (within,))
    assert f"nobody may not enter {open_folder}/closed, as its mode is; put the agent's files" in told


def test_a_link_into_a_closed_folder_is_told_with_where_it_leads(
    own_user: Path, folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, venv = open_folder / "home", open_folder / "venv"
    for each in (home, venv):
        each.mkdir(mode=0o755)
    (home / "python").symlink_to("../python")
    (venv / "python3").symlink_to(home / "python")
    (venv / "python").symlink_to("python3")
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\n')
    monkeypatch.setattr(sys, "executable", str(venv / "python"))
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    assert "nobody may not" not in install(own_user, "--run-as", "nobody").stderr
    home.chmod(0o700)
    led = f"{venv}/python, which leads to {open_folder}/python: "
    assert f"{led}others may not read {home}, nor may" in refused(own_user, "--run-as", "dynamic")
    assert f"{led}nobody may not enter {home}, as its mode is" in (
        install(own_user, "--run-as", "nobody").stderr
    )
    (home / "python").unlink()
    (home / "python").symlink_to("python")  # to itself
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    assert "is not known: Too many levels" in install(own_user, "--run-as", "nobody").stderr


@pytest.mark.parametrize("name", ["read\\u0000.py", "x" * 300])
def test_a_name_that_no_file_can_have_is_no_traceback(own_user: Path, folder: Path, name: str) -> None:
    shutil.copy(Path(__file__), own_user.parent / "read.py")
    (own_user.parent / "tank.toml").write_text(TANK)
    file = f'account = "hall.account.toml"\nprofile = "tank.toml"\ndriver.file = "{name}"\n'
    account = own_user.parent / "hall.account.toml"
    account.write_text(f'{account.read_text()}ca = "{name}"\n')
    own_user.write_text(f'{file}driver.function = "read"\n')
    assert install(own_user, "--run-as", "dynamic", "--force").exit_code == 0
    told = install(own_user, "--run-as", "nobody", "--force")
    assert told.exit_code == 0
    why = "is not known: File name too long" if name[0] == "x" else "holds a NUL character, which no path can"
    assert told.stderr.count(why) == 2


def test_a_group_without_the_right_goes_before_the_others(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = open_folder / "file"
    path.touch()
    path.chmod(0o604)
    assert not list(closed_to("nobody", (path,)))
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [path.stat().st_gid])
    assert list(closed_to("nobody", (path,)))
    path.chmod(0o640)
    assert not list(closed_to("nobody", (path,)))


def test_a_port_that_is_not_plugged_in_and_could_be_any_is_told(config: Path, folder: Path) -> None:
    given = 'account = "hall.account.toml"\nprofile = "weather-station"\ndriver.port = "{}"\n'
    config.write_text(given.format("/dev/none-of-these/*"))
    assert "No port fits /dev/none-of-these/* now" in install(config, "--run-as", "nobody").stderr
    config.write_text(given.format("/dev/serial/by-id/*"))
    assert "No port fits" not in install(config, "--run-as", "nobody").stderr
    text = install(config, "--print").stdout
    assert "DeviceAllow=char-ttyUSB rw\nDeviceAllow=char-ttyACM rw\n" in text
    assert "Wants=modprobe@usbserial.service modprobe@cdc_acm.service\n" in text


@pytest.fixture
def own_user(config: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent's file of an open folder, with a Python, that is not hidden from a user that systemd makes."""
    monkeypatch.setattr(systemd, "_SHARED", ())
    python = open_folder / "python"
    python.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(python))  # the tests' own may be in a closed home
    open_folder.chmod(0o755)
    shutil.copy(config.parent / "hall.account.toml", open_folder)
    return open_folder / config.name


@pytest.mark.parametrize("outbox", ['"data/out.db"', '"out.db"', '{ path = "data/out.db" }'])
def test_an_outbox_that_the_services_own_user_cannot_write_is_refused(
    own_user: Path, folder: Path, outbox: str
) -> None:
    given = 'account = "hall.account.toml"\nprofile = "bme280"\n'
    own_user.write_text(f"{given}outbox = {outbox}\n")
    (own_user.parent / "data").mkdir(mode=0o755)
    text = refused(own_user, "--run-as", "dynamic")
    assert "the service's own user may not write" in text
    assert "leave `outbox` out, so that it is in the service's own folder" in text
    assert not folder.exists()
    for out in ("", 'outbox = "memory"\n'):
        own_user.write_text(given + out)
        assert install(own_user, "--run-as", "dynamic").exit_code == 0


def test_the_outboxs_folder_and_what_is_beside_it_must_be_there_and_open(
    own_user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\noutbox = "data/out.db"\n')
    data = own_user.parent / "data"
    for words in (("--run-as", "dynamic"), ("--run-as", "nobody")):
        assert f"there is no folder {data}" in refused(own_user, *words)
    assert f"sudo install -d -o nobody {data}" in refused(own_user, "--run-as", "nobody")
    assert not folder.exists()
    data.mkdir()
    data.chmod(0o770)
    told = install(own_user, "--run-as", "nobody")
    assert told.exit_code == 0
    assert f"nobody may not write {data}, as its mode is; leave `outbox` out" in told.stderr
    assert f"or run: sudo chown nobody {data}" in told.stderr
    with monkeypatch.context() as patched:
        patched.setattr(install_checks, "_rights", lambda _: (-1, {data.stat().st_gid}))
        assert install(own_user, "--run-as", "dynamic").exit_code == 0  # by the driver's group
    data.chmod(0o777)
    assert "outbox" not in install(own_user, "--run-as", "nobody").stderr
    for name in ("out.db-wal", "out.commands.db", "out.audit.log.head", "out.twin.json", "other.db"):
        (data / name).touch(mode=0o600)
        closed = f"the service's own user may not write {data / name}"
        if name == "other.db":
            assert install(own_user, "--run-as", "dynamic").exit_code == 0
        else:
            assert closed in refused(own_user, "--run-as", "dynamic")
        (data / name).unlink()


def test_what_the_service_wrote_itself_is_its_own(
    own_user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\noutbox = "data/x.db"\n')
    data = own_user.parent / "data"
    data.mkdir()
    data.chmod(0o777)
    for name in ("x.db", "x.db-wal", "x.db.lock", "x.commands.db", "x.audit.log", "x.twin.json"):
        (data / name).touch(mode=0o600)
    assert "may not write" in refused(own_user, "--run-as", "dynamic", "--force")
    made = install_checks._DYNAMIC
    assert (61184 in made, 65519 in made, 61183 in made, 65520 in made) == (True, True, False, False)
    monkeypatch.setattr(install_checks, "_DYNAMIC", {data.stat().st_uid})
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    (data / "x.db").chmod(0o400)
    assert f"may not write {data}/x.db;" in refused(own_user, "--run-as", "dynamic")


def test_only_what_the_agent_writes_is_looked_at(own_user: Path, folder: Path) -> None:
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\noutbox = "data/x.db"\n')
    outbox = own_user.parent / "data/x.db"
    outbox.parent.mkdir()
    outbox.parent.chmod(0o777)
    for end in ("x.db.bak", "x.db.corrupt-1", "x.audit.log.old", "x.twin.json.damaged"):
        (outbox.parent / end).touch(mode=0o600)
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    written = {EpochNotes(outbox).path, Mark(outbox).path, twin_path(outbox), head_path(audit_path(outbox))}
    assert written <= {*files_of(outbox)}


def test_an_outbox_that_the_services_own_tmp_would_hide_is_told_as_such(
    own_user: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = own_user.parent / "shared"
    shared.mkdir(mode=0o777)
    monkeypatch.setattr(systemd, "_SHARED", (shared,))
    own_user.write_text(f'account = "hall.account.toml"\nprofile = "bme280"\noutbox = "{shared}/x.db"\n')
    text = refused(own_user, "--run-as", "dynamic")
    assert text.startswith(f"the outbox's folder {shared}: a user that systemd makes has a /tmp of its own")
    assert "leave `outbox` out, so that it is in the service's own folder" in text
    assert "/etc/iotxmpp" not in text
    own_user.write_text('account = "hall.account.toml"\nprofile = "bme280"\n')
    monkeypatch.setattr(sys, "executable", str(shared / "python"))
    assert f"Python {shared}/python: " in refused(own_user, "--run-as", "dynamic")
