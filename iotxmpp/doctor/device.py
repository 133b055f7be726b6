"""What an agent's file says about its device, as far as a doctor or an installer has to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import device_profiles
from iotxmpp.addresses import DeviceId, device_id, local_part
from iotxmpp.agent.config import profile_of_file, read_agent_file
from iotxmpp.agent.outbox.settings import OutboxSettings, outbox_settings
from iotxmpp.errors import ConfigError, InvalidError
from iotxmpp.tables import parse_table, read_text


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
        sources: Where the profile finds each channel.
        outbox: The outbox's settings, with an absolute path.
        files: What its agent reads besides: profiles, the driver's file, the server's certificates, and the
            account's file where a credential holds the password alone.
    """

    config: Path
    account: Path
    jid: str
    credential: str
    id: DeviceId
    kind: str
    settings: Mapping[str, object]
    sources: Mapping[str, Mapping[str, object]]
    outbox: OutboxSettings
    files: tuple[Path, ...] = ()

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
    """Reads the files of a device; needs neither its account, its password nor its hardware.

    Raises:
        ConfigError: The agent's file or the profile is missing or wrong.
    """
    file = read_agent_file(path)
    config = path.absolute()
    account = config.parent / file.account
    table = _account_table(account)
    jid, credential = (str(table.get(key, "")) for key in ("jid", "password_credential"))
    own = {key: value for key, value in file.driver.items() if key != "kind"}
    profile = profile_of_file(config, file)
    kind = str(file.driver.get("kind") or profile.driver.kind)
    inherited = profile.driver.settings if kind == profile.driver.kind else {}
    outbox = outbox_settings(file.outbox)
    if isinstance(outbox.path, Path):
        outbox = outbox.model_copy(update={"path": config.parent / outbox.path})
    settings = {**inherited, **own}
    credential = credential if "password" not in table else ""
    files = device_profiles.files_of(config.parent / file.profile) if file.profile.endswith(".toml") else []
    python = settings.get("file") if kind == "python" else None
    start = config.parent if "file" in own else profile.folders.get("file", config.parent)
    named = ((start, python), (account.parent, table.get("ca")))
    files += [folder / each for folder, each in named if isinstance(each, str)]
    return Device(
        config=config,
        account=account,
        jid=jid,
        credential=credential,
        id=_id(file.device, jid),
        kind=kind,
        settings=settings,
        sources=profile.sources(),
        outbox=outbox,
        files=(*files, *([account] if credential else [])),
    )


def _id(given: str | None, jid: str) -> DeviceId:
    try:
        return device_id(given or local_part(jid))
    except InvalidError:
        return device_id("device")  # what is wrong with the account is told by whoever checks it


def _account_table(path: Path) -> dict[str, object]:
    """What stands in the account's file; nothing where it cannot be read."""
    try:
        return parse_table(read_text(path), str(path))
    except ConfigError:
        return {}
