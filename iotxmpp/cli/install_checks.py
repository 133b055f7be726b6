"""What `iotxmpp agent install` looks at before a service is started in vain."""

import shlex
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import iotxmpp
from iotxmpp.cli.install_outbox import own_outbox
from iotxmpp.cli.install_rights import ENTER, READ, folders, may, rights_of, shown
from iotxmpp.errors import ConfigError
from iotxmpp.systemd import Unit

if TYPE_CHECKING:
    from iotxmpp.doctor.device import Device

_OTHERS_READ, _OTHERS_ENTER = 0o004, 0o001
_FILES_OUT = "put the agent's files into /etc/iotxmpp"
_PYTHON_OUT = (
    "make iotxmpp's virtual environment in /opt, by a Python that is in no home, such as /usr/bin/python3"
)


def check_device(config: Path) -> None:
    """Refuses what `agent run` would refuse: a service of it would never start.

    Args:
        config: The agent's file.

    Raises:
        ConfigError: The agent's file, or one that it names, is missing or wrong.
    """
    from iotxmpp.agent.config import check_agent
    from iotxmpp.doctor.device import read_device

    faults = check_agent(config)
    try:
        device = read_device(config)
    except ConfigError as error:  # and no unit could be made of it by force
        raise ConfigError(f"{'; '.join(faults or [str(error)])}; mend it") from error
    if faults:
        raise ConfigError(f"{'; '.join(faults)}; mend it, or give --force")
    _check_certificates(device)
    check_functions(device)


def _check_certificates(device: "Device") -> None:
    """Refuses an account's `ca` from which no certificates can be read.

    Raises:
        ConfigError: It is missing, or holds none.
    """
    from pydantic import SecretStr

    from iotxmpp.account import Account
    from iotxmpp.tables import parse_table, read_text
    from iotxmpp.xmpp.trust import tls_context

    given = parse_table(read_text(device.account), str(device.account)).get("ca")
    if not isinstance(given, str):
        return
    ca = device.account.parent / given
    try:
        tls_context(Account(jid="device@example.invalid", password=SecretStr("-"), ca=ca))
    except ConfigError as error:
        where = f"account file {device.account}"
        if ca.exists():
            raise ConfigError(f"{where}: {error}; mend it, or give --force") from error
        raise ConfigError(
            f"{where}: ca: there is no file {ca}; copy the certificate of the server's authority there, name"
            " its file, or give --force"
        ) from error


def check_functions(device: "Device") -> None:
    """Refuses a python driver's module that the service would not find.

    Args:
        device: The device.

    Raises:
        ConfigError: There is no such module for it.
    """
    from iotxmpp.doctor.extras import missing_modules

    if device.uses("python"):
        for finding in missing_modules(device.settings):
            raise ConfigError(f"agent file {device.config}: {finding.what}: {finding.why}: {finding.fix[0]}")


def python_files() -> tuple[Path, ...]:
    """What Python needs besides its program before it runs anything of an agent: its library, and iotxmpp.

    The library is that of the Python of which a virtual environment was made, also where that copied the
    program (`venv --copies`).
    """
    library = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
    return Path(library, "os.py"), Path(iotxmpp.__file__)


def check_reach(unit: Unit) -> None:
    """Refuses what a user that systemd makes could not read or run.

    Args:
        unit: The unit.

    Raises:
        ConfigError: A folder on the way is closed to others, or one of the agent's files is, or the agent's
            file, its outbox or Python is where the service would have a folder of its own.
    """
    if unit.scope == "user" or unit.run_as is not None:
        return
    if unit.shared_tmp is not None:  # DynamicUser implies PrivateTmp
        what, out = _out_of_tmp(unit, unit.shared_tmp)
        raise ConfigError(
            f"{what} {unit.shared_tmp}: a user that systemd makes has a /tmp of its own, without what is"
            f" there now; {out}, or name a user by --run-as"
        )
    for path in _needed(unit):
        try:
            passed = folders(path)
            is_open = path.stat().st_mode & _OTHERS_READ
        except (OSError, ValueError):
            continue  # it is not there, by --force; the agent tells it
        closed = next((each for each in reversed(passed) if not each.stat().st_mode & _OTHERS_ENTER), None)
        what, out = _out_of_home(unit, path)
        if closed is not None:
            raise ConfigError(
                f"{what}{shown(path, closed)}: others may not read {closed}, nor may the service's own user;"
                f" {out}, or name a user by --run-as"
            )
        if not is_open:
            where = "" if what else " (in /etc/iotxmpp, not in a home)"
            raise ConfigError(
                f"{what}{path}: others may not read it, nor may the service's own user; run: chmod o+r"
                f" {shlex.quote(str(path))}{where}, or name a user by --run-as"
            )


def _needed(unit: Unit) -> tuple[Path, ...]:
    return unit.config, *unit.reads, Path(unit.program[0])


def _out_of_tmp(unit: Unit, path: Path) -> tuple[str, str]:
    """What of a unit is below a folder that its service would not see, and how it gets out of there."""
    if path in unit.writable:
        return "the outbox's folder", own_outbox(unit)
    if _is_python(unit, path):
        return "Python", "put it into /opt"
    return "the agent's file", "put it into /etc/iotxmpp"


def _out_of_home(unit: Unit, path: Path) -> tuple[str, str]:
    """What of a unit a user may not reach, before its path, and how it gets out of there."""
    if path == Path(unit.program[0]):
        return "Python ", _PYTHON_OUT
    if _is_python(unit, path):
        return f"what {unit.program[0]} needs, ", _PYTHON_OUT
    return "", _FILES_OUT


def _is_python(unit: Unit, path: Path) -> bool:
    return path in (Path(unit.program[0]), *python_files())


def closed_to(unit: Unit) -> Iterator[str]:
    """The files that a service's user may not read, by the modes of files and folders; each with what to do.

    Args:
        unit: The unit, of a user with a name; a file that is not there is passed over.
    """
    user = unit.run_as
    number, groups = rights_of(user, unit.hardware.groups)
    for path in _needed(unit):
        try:
            closed = [each for each in folders(path) if not may(number, groups, each, ENTER)]
            is_closed = not closed and not may(number, groups, path, READ)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{path}: whether {user} may read it is not known: {error.strerror}"
            continue
        except ValueError:
            yield f"{str(path)!r} holds a NUL character, which no path can have; give another path"
            continue
        what, out = _out_of_home(unit, path)
        if closed:
            yield (
                f"{what}{shown(path, closed[0])}: {user} may not enter {closed[0]}, as its mode is; {out}, or"
                " name another user by --run-as"
            )
        elif is_closed:
            way = out if what else f"run: sudo chown {user} {shlex.quote(str(path))}"
            yield (
                f"{what}{path}: {user} may not read it, as its mode is; {way}, or name another user by"
                " --run-as"
            )
