"""The folder of a simulation: its devices' accounts, for the next time, and whose server they are of."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, device_id
from iotxmpp.agent.outbox.settings import OutboxSettings
from iotxmpp.errors import ConfigError

MARK = "simulation.json"
"""The file that makes a folder ours; it is locked while a simulation runs."""

DEVICES = "devices"
"""The folder of the devices' files, where a private server's are beside it."""

MEMORY_BYTES = 64 * 1024
"""Bytes of readings in memory that a simulated device keeps at most, while nobody acknowledges them."""

_ACCOUNT = ".account.toml"
_ADDING = ".adding"


class Folder:
    """A folder of ours, locked; made by `opened`."""

    def __init__(self, path: Path) -> None:
        """Takes a folder that is checked and locked already."""
        self.path = path

    def bind(self, service: str) -> None:
        """Notes whose devices these are, or checks it.

        Raises:
            ConfigError: They are of another server.
        """
        known = _mark(self.path).get("service")
        if known is None:
            (self.path / MARK).write_text(json.dumps({"form": 1, "service": service}), encoding="utf-8")
        elif known != service:
            raise ConfigError(
                f"--directory {self.path}: its devices are at {known}, not at {service}; give another folder"
            )

    def account(self, device: DeviceId) -> Account | None:
        """The account of a device that was added before; None for none.

        Raises:
            ConfigError: Its file is wrong.
        """
        path = self._account(device)
        return Account.load(path) if path.exists() else None

    def adding(self, device: DeviceId) -> None:
        """Notes that the device is about to be added: should that be cut off, it is ours all the same."""
        self._adding(device).touch(mode=0o600)

    def is_ours(self, device: DeviceId) -> bool:
        """Whether a simulation with this folder added the device."""
        return self._account(device).exists() or self._adding(device).exists()

    def added(self, device: DeviceId, account: Account) -> None:
        """Keeps the account of a device."""
        account.save(self._account(device))
        self._adding(device).unlink(missing_ok=True)

    def devices(self) -> list[DeviceId]:
        """The devices that are ours, in order."""
        names = {
            path.name.removesuffix(end) for end in (_ACCOUNT, _ADDING) for path in self.path.glob(f"*{end}")
        }
        return [device_id(name) for name in sorted(names)]

    def forget(self, device: DeviceId) -> None:
        """Removes all that is kept of a device."""
        for path in self.path.glob(f"{device}.*"):
            path.unlink(missing_ok=True)

    def outbox(self, device: DeviceId, *, on_disk: bool) -> OutboxSettings:
        """How a device's outbox is set up."""
        path: Path | Literal["memory"] = self.path.absolute() / f"{device}.outbox.db" if on_disk else "memory"
        return OutboxSettings(path=path, memory_bytes=MEMORY_BYTES)

    def _account(self, device: DeviceId) -> Path:
        return self.path / f"{device}{_ACCOUNT}"

    def _adding(self, device: DeviceId) -> Path:
        return self.path / f"{device}{_ADDING}"


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """The folder at that path, made if it is not there; locked until the end.

    Raises:
        ConfigError: It holds other things than a simulation's, is in use, or cannot be used.
    """
    _check(path, path / MARK)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path / MARK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"--directory {path}: a simulation runs there; stop it, or give another"
            ) from None
        yield Folder(path)
    finally:
        os.close(handle)


def claim_home(path: Path) -> None:
    """Makes a folder ours for a private server and its devices, before anything is put into it.

    Raises:
        ConfigError: It holds other things, or cannot be used.
    """
    mark = path / DEVICES / MARK
    _check(path, mark)
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)  # the server's user may pass
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(mode=0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"--directory {path}: cannot be used: {error.strerror or error}")


def _check(path: Path, mark: Path) -> None:
    if not path.exists():
        return
    try:
        empty = not any(path.iterdir())
        ours = mark.is_file()
    except OSError as error:
        raise _unusable(path, error) from error
    if not empty and not ours:
        raise ConfigError(
            f"--directory {path}: it holds other things, and no {mark.relative_to(path)};"
            " give a new or an empty folder"
        )
    _mark(mark.parent)


def _mark(path: Path) -> dict[str, object]:
    """What the mark says; nothing for a new one."""
    try:
        text = (path / MARK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--directory {path}: {MARK} cannot be read: {error}") from error
    try:
        mark = json.loads(text) if text.strip() else {}
    except ValueError:
        mark = None
    if not isinstance(mark, dict) or mark.get("form", 1) != 1:
        raise ConfigError(f"--directory {path}: {MARK} is not what a simulation writes; give another folder")
    return mark
