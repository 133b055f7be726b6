"""Options that several commands share, and which account they act for."""

import math
import os
from pathlib import Path
from typing import Annotated

import typer

from iotxmpp.account import ACCOUNT_VARIABLE, Account
from iotxmpp.addresses import DeviceId, device_id, local_part
from iotxmpp.errors import ConfigError

AccountOption = Annotated[
    Path | None,
    typer.Option(
        "--account",
        "-a",
        help=f"Account file to act for; else ${ACCOUNT_VARIABLE}, else that of `iotxmpp server run`.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for scripts.")]


def checked_seconds(seconds: float | None) -> float | None:
    """A time to end after, if any; for typer's `callback`.

    Raises:
        typer.BadParameter: It is not positive and finite.
    """
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise typer.BadParameter(f"{seconds:g} is not a positive, finite number of seconds")
    return seconds


def named_device(text: str) -> DeviceId:
    """The device that is named by its id or by its JID.

    Raises:
        InvalidError: It is neither.
    """
    return device_id(local_part(text) if "@" in text else text)


def server_directory() -> Path:
    """Where `iotxmpp server run` keeps its server, unless told otherwise."""
    if os.geteuid() == 0:  # the server runs as another user, who may not enter root's home
        return Path("/var/lib/iotxmpp/server")
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local/share") / "iotxmpp/server"


def chosen_account(given: Path | None, role: str) -> Account:
    """The account to act for.

    Args:
        given: The file from the command line, if any.
        role: `admin` or `controller`: which account of the local server to fall back to.

    Raises:
        ConfigError: There is none, or its file is wrong.
    """
    named = os.environ.get(ACCOUNT_VARIABLE)
    local = server_directory() / f"{role}.toml"
    if given is not None:
        return Account.load(given)
    if named:
        return Account.load(Path(named))
    if local.exists():
        return Account.load(local)
    raise ConfigError(
        f"no account: give --account FILE, set {ACCOUNT_VARIABLE}, or start a local server with"
        f" `iotxmpp server run` (it would write {local})"
    )
