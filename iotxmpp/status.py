"""What a device says of itself in its presence: `urn:iotxmpp:status:0`."""

from typing import Literal
from xml.etree.ElementTree import Element

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iotxmpp.errors import InvalidError
from iotxmpp.validation import explain

NAMESPACE = "urn:iotxmpp:status:0"
TAG = f"{{{NAMESPACE}}}device"
"""Not called `status`: some clients look for the sentence for people by that name alone."""


class DeviceStatus(BaseModel):
    """How a device is.

    Attributes:
        why: `start`, `heartbeat`, `change`, `reconnect`, `sleep`, `stop`: why this presence was sent.
        heartbeat: The device promises to be heard from at least this often, in seconds.
        uptime: Seconds since the agent started.
        version: The version of iotxmpp on the device.
        buffered: Readings that the collector has not acknowledged.
        oldest: Seconds since the first of them was read; 0 for none, or where that cannot be told.
        dropped: Readings given up since the start, because the outbox was full or they were too old.
        dead: Readings given up because they could not be delivered; they are kept for people.
        outbox: Where readings are kept: `disk`, or `memory`, which a power cut empties.
        problems: What does not work right now, a sentence each.
        sleeping: The device sleeps, and will not be heard for so many seconds; None while awake.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    why: Literal["start", "heartbeat", "change", "reconnect", "sleep", "stop"] = "start"
    heartbeat: float = Field(gt=0, allow_inf_nan=False)
    uptime: float = Field(ge=0)
    version: str = Field(max_length=64)
    buffered: int = Field(default=0, ge=0)
    oldest: float = Field(default=0, ge=0, allow_inf_nan=False)
    dropped: int = Field(default=0, ge=0)
    dead: int = Field(default=0, ge=0)
    outbox: Literal["disk", "memory"] = "memory"
    problems: tuple[str, ...] = ()
    sleeping: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def element(self) -> Element:
        """The element that carries it."""
        element = Element(
            TAG,
            {
                "why": self.why,
                "heartbeat": f"{self.heartbeat:g}",
                "uptime": f"{self.uptime:.0f}",
                "version": self.version,
                "buffered": str(self.buffered),
                "oldest": f"{self.oldest:.0f}",
                "dropped": str(self.dropped),
                "dead": str(self.dead),
                "outbox": self.outbox,
            },
        )
        if self.sleeping is not None:
            element.set("sleeping", f"{self.sleeping:.0f}")
        for problem in self.problems:
            child = Element(f"{{{NAMESPACE}}}problem")
            child.text = problem
            element.append(child)
        return element


def parse_status(extensions: tuple[Element, ...]) -> DeviceStatus | None:
    """The status among a presence's extensions; None where there is none.

    Raises:
        InvalidError: It is there and breaks its rules.
    """
    for element in extensions:
        if element.tag == TAG:
            problems = tuple(child.text or "" for child in element)
            try:
                return DeviceStatus.model_validate({**element.attrib, "problems": problems})
            except ValidationError as error:
                raise InvalidError(explain(error, "status in presence")) from error
    return None
