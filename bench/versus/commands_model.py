"""The command of the comparison, as the peers type it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Water(BaseModel):
    """What the device is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Annotated[int, Field(ge=1, le=3600)]
    zone: Annotated[str, Field(max_length=32)]


class Watered(BaseModel):
    """What it answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
