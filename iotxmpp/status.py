"""What a device says of itself in its presence: `urn:iotxmpp:status:0`."""

from typing import Literal
from xml.etree.ElementTree import Element

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iotxmpp.errors import InvalidError
from iotxmpp.validation import explain

NAMESPACE = "urn:iotxmpp:status:0"
TAG = f"{{{NAMESPACE}}}status"


class DeviceStatus(BaseModel):
    """How a device is.

    Attributes:
        why: `start`, `heartbeat`, `change`, `stop`: why this presence was sent.
        heartbeat: The device promises to be heard from at least this often, in seconds.
        uptime: Seconds since the agent started.
        version: The version of iotxmpp on the device.
        buffered: Readings that wait to be sent.
        dropped: Readings given up since the start: the buffer was full, or the service refused them.
        problems: What does not work right now, a sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    why: Literal["start", "heartbeat", "change", "stop"] = "start"
    heartbeat: float = Field(gt=0)
    uptime: float = Field(ge=0)
    version: str = Field(max_length=64)
    buffered: int = Field(default=0, ge=0)
    dropped: int = Field(default=0, ge=0)
    problems: tuple[str, ...] = ()

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
                "dropped": str(self.dropped),
            },
        )
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
