"""A reading as the peers send it: one JSON object, checked by pydantic where it arrives."""

import time

from pydantic import BaseModel, ConfigDict, TypeAdapter


class PeerReading(BaseModel):
    """One reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    channel: str
    value: float
    unit: str | None
    time: float


BATCH = TypeAdapter(list[PeerReading])
"""A JSON array of readings."""


def made(device: str, value: float, channel: str = "temperature") -> PeerReading:
    """A reading of now."""
    return PeerReading(device=device, channel=channel, value=value, unit="Cel", time=round(time.time(), 3))
