"""What an agent's file says about its device, as far as a doctor or an installer has to know."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import device_profiles
from iotxmpp.addresses import DeviceId, device_id, local_part
from iotxmpp.agent.config import AgentFile
from iotxmpp.agent.outbox.settings import OutboxSettings, outbox_settings
from iotxmpp.errors import ConfigError
from iotxmpp.validation import explain


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device as its files have it.

    Attributes:
        config: The agent's file.
        account: The account's file.
        jid: The account; empty where its file does not tell.
        credential: The credential of systemd that holds its password; empty for none.
        id: The device's id.
        kind: The kind of its driver.
        settings: The driver's settings, of profile and device together.
        outbox: The outbox's settings, with an absolute path.
    """

    config: Path
    account: Path
    jid: str
    credential: str
    id: DeviceId
    kind: str
    settings: Mapping[str, object]
    outbox: OutboxSettings

    @property
    def simulated(self) -> bool:
        """Whether there is no hardware."""
        return self.kind == "simulated" or self.settings.get("simulated") is True

    def uses(self, *kinds: str) -> bool:
        """Whether it has such hardware."""
        return self.kind in kinds and not self.simulated

    @property
    def outbox_file(self) -> Path | None:
        """The file in which readings wait; None for memory."""
        return self.outbox.file(self.jid, self.id) if self.jid else None


def read_device(path: Path) -> Device:
    """Reads the files of a device; needs neither its password nor its hardware.

    Raises:
        ConfigError: A file is missing or wrong.
    """
    where = f"agent file {path}"
    try:
        file = AgentFile.model_validate(_table(path, where))
    except ValidationError as error:
        raise ConfigError(explain(error, where)) from error
    config = path.absolute()
    account = config.parent / file.account
    table = _table(account, f"account file {account}")
    jid, credential = (str(table.get(key, "")) for key in ("jid", "password_credential"))
    own = {key: value for key, value in file.driver.items() if key != "kind"}
    profile = (
        device_profiles.load_file(config.parent / file.profile)
        if file.profile.endswith(".toml")
        else device_profiles.load(file.profile)
    )
    kind = str(file.driver.get("kind") or profile.driver.kind)
    inherited = profile.driver.settings if kind == profile.driver.kind else {}
    outbox = outbox_settings(file.outbox)
    if isinstance(outbox.path, Path):
        outbox = outbox.model_copy(update={"path": config.parent / outbox.path})
    return Device(
        config=config,
        account=account,
        jid=jid,
        credential=credential if "password" not in table else "",
        id=device_id(file.device or local_part(jid)),
        kind=kind,
        settings={**inherited, **own},
        outbox=outbox,
    )


def _table(path: Path, where: str) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not TOML: {error}") from error
