"""What `iotxmpp agent install` tells before a service is started in vain."""

import os
import pwd
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import iotxmpp
from iotxmpp import systemd
from iotxmpp.cli.install_checks import closed_to
from iotxmpp.doctor.extras import check_functions
from iotxmpp.server.certificate import renewed
from iotxmpp.systemd import Unit
from tests.unit.install_house import (
    AS,
    BME280,
    config,
    folder,
    install,
    library_below,
    open_folder,
    own_user,
    refused,
)

__all__ = ["config", "folder", "open_folder", "own_user"]

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


def closed(user: str, *paths: Path) -> list[str]:
    """What a service's user is told of these files."""
    return [
        *closed_to(
            Unit(name="x", device="x", config=paths[0], program=("/bin/sh",), run_as=user, reads=paths[1:])
        )
    ]


def test_the_owner_the_group_and_the_others_have_rights_of_their_own(open_folder: Path) -> None:
    path = open_folder / "a file"
    path.touch()
    own = pwd.getpwuid(os.geteuid()).pw_name
    path.chmod(0o044)
    assert not closed("nobody", path)
    path.chmod(0o600)
    (told,) = closed("nobody", path, open_folder / "none")
    assert told.startswith(f"{path}: nobody may not read it")
    assert not closed(own, path)
    (open_folder / "closed").mkdir(mode=0o700)
    within = open_folder / "closed/file"
    within.touch()
    (told,) = closed("nobody", within)
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
    assert not closed("nobody", path)
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [path.stat().st_gid])
    assert closed("nobody", path)
    path.chmod(0o640)
    assert not closed("nobody", path)


def test_a_port_that_is_not_plugged_in_and_could_be_any_is_told(config: Path, folder: Path) -> None:
    given = 'account = "hall.account.toml"\nprofile = "weather-station"\ndriver.port = "{}"\n'
    config.write_text(given.format("/dev/none-of-these/*"))
    assert "No port fits /dev/none-of-these/* now" in install(config, "--run-as", "nobody").stderr
    config.write_text(given.format("/dev/serial/by-id/*"))
    assert "No port fits" not in install(config, "--run-as", "nobody").stderr
    text = install(config, "--print").stdout
    assert "DeviceAllow=char-ttyUSB rw\nDeviceAllow=char-ttyACM rw\n" in text
    assert "Wants=modprobe@usbserial.service modprobe@cdc_acm.service\n" in text


CA = 'jid = "hall@example.org"\npassword = "secret"\nca = {!r}\n'


def test_certificates_that_are_not_there_are_refused(config: Path, folder: Path) -> None:
    account = config.parent / "hall.account.toml"
    account.write_text(CA.format("pki/ca.pem"))
    ca = config.parent / "pki/ca.pem"
    for words in (AS, ("--user",), ("--print",)):
        text = refused(config, *words)
        assert text.startswith(f"account file {account}: ca: there is no file {ca}; copy the certificate of")
        assert text.endswith("there, name its file, or give --force")
    assert not folder.exists()
    ca.parent.mkdir()
    ca.write_text("nothing")
    assert f"account file {account}: ca {ca}: no certificates can be read" in refused(config, *AS)
    account.write_text(CA.format(str(ca.parent)))
    assert f"ca {ca.parent}: no certificates can be read" in refused(config, *AS)
    assert install(config, *AS, "--force").exit_code == 0
    ca.write_bytes(renewed(None, "example.org", datetime.now(UTC)).ca)
    account.write_text(CA.format(str(ca)))
    assert install(config, *AS).exit_code == 0


def test_the_library_of_a_copied_pythons_home_is_needed(
    own_user: Path, folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_user.write_text(BME280)
    home = open_folder / "home"
    library = library_below(home / "pyenv")
    monkeypatch.setattr(sys, "base_prefix", str(home / "pyenv"))
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    assert "nobody may not" not in install(own_user, *AS).stderr
    home.chmod(0o700)
    text = refused(own_user, "--run-as", "dynamic")
    assert text.startswith(f"what {open_folder}/python needs, {library}: others may not read {home}, nor may")
    assert "make iotxmpp's virtual environment in /opt, by a Python that is in no home" in text
    told = install(own_user, *AS)
    assert told.exit_code == 0
    assert f"{library}: nobody may not enter {home}, as its mode is; make iotxmpp's" in told.stderr
    home.chmod(0o755)
    library.chmod(0o600)
    assert f"{library}: others may not read it" in refused(own_user, "--run-as", "dynamic")
    told = install(own_user, *AS)
    assert f"{library}: nobody may not read it, as its mode is; make iotxmpp's" in told.stderr


def test_iotxmpp_itself_is_needed(
    own_user: Path, folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_user.write_text(BME280)
    package = open_folder / "home/iotxmpp/__init__.py"
    package.parent.mkdir(parents=True, mode=0o755)
    package.touch(mode=0o644)
    monkeypatch.setattr(iotxmpp, "__file__", str(package))  # as an editable installation has it
    assert install(own_user, "--run-as", "dynamic").exit_code == 0
    package.parent.chmod(0o700)
    assert f"needs, {package}: others may not read {package.parent}" in (
        refused(own_user, "--run-as", "dynamic")
    )


def test_a_file_that_the_services_own_tmp_would_hide_is_told(
    own_user: Path, folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = open_folder / "shared"
    shared.mkdir()
    ca = shared / "ca.pem"
    ca.write_bytes(renewed(None, "example.org", datetime.now(UTC)).ca)
    monkeypatch.setattr(systemd, "_SHARED", (shared,))
    own_user.write_text(BME280)
    (own_user.parent / "hall.account.toml").write_text(CA.format(str(ca)))
    text = refused(own_user, "--run-as", "dynamic")
    assert text.startswith(f"the agent's file {ca}: a user that systemd makes has a /tmp of its own")
    assert install(own_user, *AS).exit_code == 0
    assert "PrivateTmp=yes" not in (folder / "iotxmpp-hall.service").read_text()
