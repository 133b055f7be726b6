"""`agent.toml`: a whole device without code."""

from collections.abc import Sized
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

import device_profiles
from iotxmpp.access import parse_access
from iotxmpp.account import Account
from iotxmpp.agent.agent import Agent
from iotxmpp.agent.calibration import Calibration
from iotxmpp.agent.drivers import create_driver
from iotxmpp.agent.outbox.settings import OutboxSettings, outbox_settings
from iotxmpp.agent.profiled import equip
from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.faulttexts import guess
from iotxmpp.kinds import Every
from iotxmpp.link import Link
from iotxmpp.profiles import Profile
from iotxmpp.senml import check_name
from iotxmpp.tables import TableError, parse_table, read_text, table_error
from iotxmpp.validation import explain

MOST_BYTES = 1 << 16
"""Bytes that an agent's file may have."""

MOST_PEOPLE = 100
"""Entries of `people`, and of `access`, in an agent's file."""

Entries = TypeVar("Entries", bound=Sized)


def _few(entries: Entries) -> Entries:
    if len(entries) > MOST_PEOPLE:
        raise ValueError(f"more than {MOST_PEOPLE} entries; give fewer")
    return entries


Words = Annotated[tuple[str, ...], Field(strict=False)]
"""A list in a file, which is a tuple here; its entries are text alone."""


class AgentFile(BaseModel):
    """What stands in an agent's file.

    Attributes:
        account: The account's file; a relative path starts at this file's directory.
        profile: A shipped profile's name, or the path of a profile's `.toml` file.
        device: The device's id; the account's name unless given.
        heartbeat: The promised longest silence, in seconds: from a tenth to a year.
        site: Where the device stands.
        room: In which room there.
        tags: Words to choose it by among many.
        people: The JIDs of those to whom alarms are written.
        every: Seconds between samples of every channel; what the profile says unless given.
        at_least: Seconds after which an unchanged value of a channel with `on_change` is published all the
            same; what the profile says unless given.
        driver: The driver's own settings; `kind` chooses another driver than the profile's.
        rename: Other names for some channels.
        calibration: What makes the shown values of some channels true ones, by the profile's names.
        access: Who may do what besides the account's controllers, as `parse_access` reads it.
        outbox: The outbox's file, relative to this file's directory; `memory` for none; or a table of its
            settings, as `OutboxSettings` has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)  # "30" or true is no number

    account: str
    profile: str
    device: str | None = None
    heartbeat: float = Field(default=30.0, ge=0.1, le=31_622_400, allow_inf_nan=False)
    site: str = ""
    room: str = ""
    tags: Words = ()
    people: Annotated[Words, AfterValidator(_few)] = ()
    every: Every | None = None
    at_least: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    driver: dict[str, Any] = Field(default_factory=dict)
    rename: dict[str, str] = Field(default_factory=dict)
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    access: Annotated[dict[str, Any], AfterValidator(_few)] = Field(default_factory=dict)
    outbox: str | OutboxSettings | None = None


def load_agent(path: Path | str, *, link: Link | None = None, account: Account | None = None) -> Agent:
    """The agent that a file describes.

    ```toml
    account = "greenhouse-1.account.toml"
    profile = "bme280"

    room = "cellar"

    [driver]
    address = 0x77

    [calibration.temperature]
    offset = -0.4
    ```

    Args:
        path: The file.
        link: As for `Agent`.
        account: Another account than that of the file, which is not read then.

    Raises:
        ConfigError: The file, or one that it names, is missing or wrong; one line that says where.
    """
    path = Path(path)
    file = read_agent_file(path)
    return _agent(path, file, account or Account.load(path.parent / file.account), link)


def _agent(path: Path, file: AgentFile, account: Account, link: Link | None = None) -> Agent:
    """The agent that a file describes, which is read already; it raises as `load_agent` does."""
    try:
        profile = profile_of_file(path, file)
        _check_rename(profile, file.rename)
        kind, settings = file.driver.get("kind"), {k: v for k, v in file.driver.items() if k != "kind"}
        make_driver = partial(create_driver, profile, settings, kind=kind, folder=path.parent.absolute())
        agent = Agent(
            account,
            device=file.device,
            heartbeat=file.heartbeat,
            site=file.site,
            room=file.room,
            tags=file.tags,
            people=file.people,
            access=parse_access(file.access, "access"),
            link=link,
            outbox=_outbox(path, file),
        )
        equip(
            agent,
            profile,
            make_driver,
            every=file.every,
            at_least=file.at_least,
            rename=file.rename,
            calibration=file.calibration,
        )
    except InvalidError as error:
        raise ConfigError(f"agent file {path}: {error}") from error
    return agent


def check_agent(path: Path | str) -> list[str]:
    """What `load_agent` would refuse, as far as it can be said without the account's password.

    The agent is made, and connects to nothing; its hardware is not touched. A fault of the account hides
    none of the others.

    Args:
        path: The agent's file.

    Returns:
        Each fault as a line; none for a good file.
    """
    path = Path(path)
    try:
        file = read_agent_file(path)
    except ConfigError as error:
        return [str(error)]
    faults: list[str] = []
    account = Account(jid="device@example.invalid", password=SecretStr("-"))
    try:
        account = _without_password(path.parent / file.account)
    except ConfigError as error:
        faults.append(str(error))
    try:
        _agent(path, file, account)
    except InvalidError as error:
        faults.append(str(error))
    return faults


def _without_password(path: Path) -> Account:
    """The account of a file, with a password that stands for its own.

    Raises:
        ConfigError: The file is missing or wrong, or names no password.
    """
    where = f"account file {path}"
    try:
        text = read_text(path)
    except TableError as error:
        raise TableError(where, error.faults) from error
    table = parse_table(text, where)
    if isinstance(table.get("password_credential"), str):
        table |= {"password": "-"}
    try:
        return Account.model_validate(table)
    except ValidationError as error:
        raise ConfigError(explain(error, where)) from error


def _check_rename(profile: Profile, rename: dict[str, str]) -> None:
    """Names the entry of `[rename]` that is wrong.

    Raises:
        ConfigError: There is no such channel, its new name is none, or two channels have one name.
    """
    channels = profile.reading_kinds()
    taken: dict[str, str] = {}
    for old, new in rename.items():
        if old not in channels:
            raise ConfigError(f"rename.{old}: profile {profile.id} has no such channel{guess(old, channels)}")
        check_name(new, f"rename.{old}")
    for name in channels:
        new = rename.get(name, name)
        if new in taken:
            key = name if name in rename else taken[new]
            raise ConfigError(
                f"rename.{key}: two channels have one name: {taken[new]} and {name} would both be {new};"
                " choose another"
            )
        taken[new] = name


def _outbox(path: Path, file: AgentFile) -> OutboxSettings:
    settings = outbox_settings(file.outbox)
    if isinstance(settings.path, Path):
        return settings.model_copy(update={"path": path.parent.absolute() / settings.path})
    return settings


def read_agent_file(path: Path) -> AgentFile:
    """What stands in an agent's file; what it names is not read.

    Raises:
        ConfigError: It is missing or wrong.
    """
    where = f"agent file {path}"
    try:
        text = read_text(path, most=MOST_BYTES)
    except TableError as error:
        raise TableError(where, error.faults) from error
    table = parse_table(text, where, most=MOST_BYTES)
    try:
        file = AgentFile.model_validate(table)
    except ValidationError as error:
        raise table_error(error, AgentFile, where) from error
    if not isinstance(file.driver.get("kind", ""), str):
        raise TableError(where, ["driver.kind: Input should be a valid string"])
    return file


def profile_of_file(path: Path, file: AgentFile) -> Profile:
    """The profile that an agent's file names.

    Args:
        path: The agent's file.
        file: What stands in it.

    Raises:
        ConfigError: The profile is missing or wrong.
    """
    if file.profile.endswith(".toml"):
        return device_profiles.load_file(path.parent / file.profile)
    return device_profiles.load(file.profile)
