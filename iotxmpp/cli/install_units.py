"""The units of agents that are there: whose they are, and how they are written and removed."""

import os
import shlex
from pathlib import Path

from iotxmpp.errors import ConfigError
from iotxmpp.systemd import config_of, is_changed

SYSTEM_FOLDER = Path("/etc/systemd/system")
_ROOT = 0


def folder_of(*, user: bool) -> Path:
    """Where units are, of the whole machine or of this user's own manager."""
    return Path.home() / ".config/systemd/user" if user else SYSTEM_FOLDER


def units_of(folder: Path, config: Path) -> list[Path]:
    """The units in a folder that run an agent's file, changed or not."""
    try:
        files = sorted(folder.glob("*.service"))
    except OSError:
        return []
    found = ((file, _config_in(file)) for file in files)
    return [file for file, other in found if other is not None and is_same(other, config)]


def _config_in(file: Path) -> Path | None:
    try:
        return config_of(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:  # a link that leads nowhere, or a folder
        return None


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths are of one agent's file, however they are spelled.

    Two links to one file that lie in different folders are not: what it names is looked for beside each.
    """
    if os.path.realpath(one) != os.path.realpath(other):
        return False
    is_beside = os.path.realpath(one.parent) == os.path.realpath(other.parent)
    return is_beside or not (one.is_symlink() and other.is_symlink())


def unit_text(path: Path) -> str:
    """What a unit's file says; nothing where there is none.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def check_whose(path: Path, config: Path, *, user: bool) -> None:
    """Refuses to write over the unit of another agent.

    Args:
        path: The unit's file.
        config: The agent's file that it is to run.
        user: Whether it is of this user's own manager.

    Raises:
        ConfigError: It is there, and runs another agent's file.
    """
    other = config_of(unit_text(path))
    if other is not None and not is_same(other, config):
        where = " --user" if user else ""
        raise ConfigError(
            f"{path} is the unit of {other}, not of {config}; give this one another name by --name, remove"
            f" that one by `iotxmpp agent install{where} {shlex.quote(str(other))} --uninstall --name"
            f" {path.stem}`, or give --force to overwrite it"
        )


def check_change(path: Path) -> None:
    """Refuses to touch a unit that somebody else wrote, or changed.

    Raises:
        ConfigError: It is such a one.
    """
    text = unit_text(path)
    if text and is_changed(text):
        raise ConfigError(
            f"{path} was changed since it was written, or written by other means; put your changes into"
            f" `systemctl edit {path.stem}`, or give --force to lose them"
        )


def write_unit(path: Path, text: str) -> None:
    """Writes a unit's file as a whole; makes its folder.

    Raises:
        ConfigError: It cannot be written.
    """
    scratch = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.chmod(0o644)
        scratch.replace(path)
    except OSError as error:
        raise _not_allowed(path, error) from error


def remove_unit(path: Path) -> None:
    """Removes a unit's file, and the links by which systemd would start it.

    Raises:
        ConfigError: One cannot be removed.
    """
    try:
        for link in (each for each in path.parent.glob(f"*.wants/{path.name}") if each.is_symlink()):
            link.unlink()
        path.unlink()
    except OSError as error:
        raise _not_allowed(path, error) from error


def _not_allowed(path: Path, error: OSError) -> ConfigError:
    hint = "" if os.geteuid() == _ROOT else "; run it by sudo, or give --user"
    return ConfigError(f"{path} cannot be written: {error.strerror or error}{hint}")
