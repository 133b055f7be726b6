"""A device's self-description: the one item of its `about` node.

Whoever shows, checks or exports a device reads this, never a profile file of the device's kind.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ValueType = Literal["float", "int", "bool", "str"]

MOST_TAGS = 32
"""Tags that a device may have."""

_TAG = re.compile(r"[^\s,]{1,64}")


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError("a tag is a word of 1 to 64 characters, without spaces and commas")
    return text


# Not pydantic's own pattern: its engine takes half a megabyte, and a device has little memory.
Tag = Annotated[str, AfterValidator(_tag)]
"""A word without spaces and commas."""


class Channel(BaseModel):
    """One channel of a device.

    Attributes:
        type: The type of its values.
        unit: Their SenML unit; None for values without one.
        range: The least and the greatest possible value; None for no bound.
        description: For people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ValueType
    unit: str | None = None
    range: tuple[float, float] | None = None
    description: str = ""


class CommandAbout(BaseModel):
    """One command of a device.

    Attributes:
        description: For people.
        arguments: A JSON Schema of its arguments, an object.
        title: A few words for people; empty for the command's name.
        role: Which role a caller needs at least.
        once: `journal`: the device remembers each call's id, and starts a call at most once. `idempotent`:
            doing it twice is the same as doing it once, and nothing is remembered.
        steps: The pages of a person's form, each the names of its arguments; empty for one page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    title: str = ""
    role: str = "operator"
    once: Literal["journal", "idempotent"] = "journal"
    steps: tuple[tuple[str, ...], ...] = ()


class SettingAbout(BaseModel):
    """One setting of a device, which its twin may change.

    Attributes:
        description: For people.
        value: A JSON Schema of its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    value: dict[str, Any] = Field(default_factory=dict)


class About(BaseModel):
    """The whole self-description.

    Attributes:
        form: The version of this form.
        device: The device's id.
        profile: The profile that it was made from, as `id version`; empty for none.
        version: The version of iotxmpp on the device.
        heartbeat: The promised longest silence, in seconds.
        site: Where it stands; empty where nobody said.
        room: In which room there; empty where nobody said.
        channels: Its channels by name.
        commands: Its commands by name.
        tags: Words of its owner's, to choose it by.
        settings: Its settings by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    form: Literal[1] = 1
    device: str
    profile: str = ""
    version: str = ""
    heartbeat: float = Field(default=30.0, gt=0)
    site: str = ""
    room: str = ""
    channels: dict[str, Channel] = Field(default_factory=dict)
    commands: dict[str, CommandAbout] = Field(default_factory=dict)
    tags: Annotated[tuple[Tag, ...], Field(max_length=MOST_TAGS)] = ()
    settings: dict[str, SettingAbout] = Field(default_factory=dict)
