"""What tests of `iotxmpp agent install` share: an agent's file, and a folder for units."""

import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import iotxmpp
from iotxmpp import systemd
from iotxmpp.cli import install_units
from iotxmpp.cli.app import app
from iotxmpp.errors import ConfigError

AS = ("--run-as", "nobody")
BME280 = 'account = "hall.account.toml"\nprofile = "bme280"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return agent_in(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "system"
    monkeypatch.setattr(install_units, "SYSTEM_FOLDER", folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter; pytest closes its own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def own_user(config: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent's file of an open folder, with a Python, that is not hidden from a user that systemd makes."""
    monkeypatch.setattr(systemd, "_SHARED", ())
    python = open_folder / "python"
    python.touch(mode=0o755)
    # The tests' own may be in a closed home.
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(sys, "base_prefix", str(open_folder))
    monkeypatch.setattr(iotxmpp, "__file__", str(open_folder / "iotxmpp/__init__.py"))
    open_folder.chmod(0o755)
    shutil.copy(config.parent / "hall.account.toml", open_folder)
    return open_folder / config.name


def agent_in(folder: Path) -> Path:
    """The file of an agent with the device `hall`, in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    account = folder / "hall.account.toml"
    account.write_text('jid = "hall@example.org"\npassword = "secret"\n')
    account.chmod(0o600)
    file = folder / "agent.toml"
    file.write_text(BME280)
    return file


def library_below(prefix: Path) -> Path:
    """Makes a file of Python's library where a Python of that prefix has it."""
    file = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(prefix)}), "os.py")
    file.parent.mkdir(parents=True)
    file.touch(mode=0o644)
    return file


def install(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["agent", "install", str(config), *words])


def refused(config: Path, *words: str) -> str:
    done = install(config, *words)
    assert isinstance(done.exception, ConfigError), done.output
    return str(done.exception)
