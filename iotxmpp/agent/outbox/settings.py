"""How the outbox is set up: where it is, how large it may grow, and how it is emptied."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from iotxmpp.addresses import DeviceId, bare_jid, local_part
from iotxmpp.errors import InvalidError
from iotxmpp.validation import explain

STATE_VARIABLE = "IOTXMPP_STATE"
MEMORY = "memory"
FILE_NAME = "outbox.db"

WhenFull = Literal["drop_oldest", "reject", "thin"]
"""What happens to a channel's readings when the outbox is full: the oldest are dropped, new ones are refused,
or every second one of its older half is dropped."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class OutboxSettings(BaseModel):
    """How the outbox is set up.

    Attributes:
        path: Its file; `memory` for none; None for `outbox.db` in the agent's state directory.
        bytes: About how much its readings may take on disk.
        memory_bytes: Likewise in memory: without a file, or while the disk fails.
        age: Seconds after which a reading is given up; counted by synchronised clocks alone.
        when_full: What happens to readings of channels that say nothing else, when it is full.
        replay_share: The part of the publishing time that readings from before may take.
        replay_rate: Readings from before that are published in a second at most.
        replay_delay: Seconds at most that a new session waits, by chance, before it publishes many of them.
        gather: Seconds that a reading waits at most for others while a pack is in flight and another may be;
            with nothing in flight it goes out at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: Annotated[Path, Field(strict=False)] | Literal["memory"] | None = None
    bytes: int = Field(default=64 * 2**20, ge=4096)
    memory_bytes: int = Field(default=4 * 2**20, ge=4096)
    age: Seconds = 7 * 86400.0
    when_full: WhenFull = "drop_oldest"
    replay_share: float = Field(default=0.5, gt=0, le=1)
    replay_rate: Seconds = 2000.0
    replay_delay: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    gather: Seconds = 0.02

    @field_validator("path")
    @classmethod
    def _possible(cls, path: Path | str | None) -> Path | str | None:
        if "\0" in str(path):
            raise ValueError("a NUL character, which no path can have; give another path")
        return path

    def file(self, jid: str, device: DeviceId) -> Path | None:
        """Its file for that device; None for none."""
        if self.path == MEMORY:
            return None
        if self.path is None:
            return state_directory(jid, device) / FILE_NAME
        return Path(self.path).absolute()

    def limits(self, channels: Mapping[str, WhenFull]) -> "Limits":
        """The bounds, with what the channels say for themselves."""
        return Limits(bytes=self.bytes, age=self.age, when_full=self.when_full, channels=channels)


class Limits(BaseModel):
    """The bounds of one outbox.

    Attributes:
        bytes: About how much its readings may take.
        age: Seconds after which a reading is given up.
        when_full: What happens when it is full.
        channels: What happens to the readings of channels where that differs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = 64 * 2**20
    age: float = 7 * 86400.0
    when_full: WhenFull = "drop_oldest"
    channels: Mapping[str, WhenFull] = Field(default_factory=dict)

    def of(self, channel: str) -> WhenFull:
        """What happens to that channel's readings."""
        return self.channels.get(channel, self.when_full)


def outbox_settings(given: "OutboxSettings | Path | str | None") -> OutboxSettings:
    """The settings for what a script gives: a path, `memory`, whole settings, or None.

    Raises:
        InvalidError: It is something else.
    """
    if isinstance(given, OutboxSettings):
        return given
    try:
        return OutboxSettings(path=given)  # type: ignore[arg-type]  # pydantic makes a path of text
    except ValidationError as error:
        raise InvalidError(explain(error, f"outbox {str(given)[:80]!r}")) from error


def state_directory(jid: str, device: DeviceId) -> Path:
    """Where a device's agent keeps what must survive it.

    `<bare jid>` in `$IOTXMPP_STATE`, else in `$XDG_STATE_HOME/iotxmpp`, else in `~/.local/state/iotxmpp`; and
    in it a directory by the device's id, where that is not the account's name. So devices of one machine
    share nothing.
    """
    given = os.environ.get(STATE_VARIABLE)
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    directory = (Path(given) if given else Path(home) / "iotxmpp") / bare_jid(jid)
    return (directory if device == local_part(jid) else directory / device).absolute()
