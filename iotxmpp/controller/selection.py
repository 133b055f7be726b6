"""Which of a controller's devices an expression means; see docs/where.md."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iotxmpp.controller.device import Device
from iotxmpp.readings import Value
from iotxmpp.where import Where


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """What a controller knows of a device now; an empty text, or None, is not known.

    Attributes:
        id: The device's id.
        profile: What it was made from, as `id version`.
        site: Where it stands.
        tags: Its tags; None where it has not described itself.
        presence: Its state.
        version: The version of iotxmpp on it.
        readings: Its last readings by channel.
    """

    id: str
    profile: str = ""
    site: str = ""
    tags: tuple[str, ...] | None = None
    presence: str = "unknown"
    version: str = ""
    readings: Mapping[str, Value]


def facts_of(device: Device) -> DeviceFacts:
    """What is known of a device, as `Where.matches` asks for it."""
    readings = {channel: reading.value for channel, reading in device.readings.items()}
    about, status = device.about, device.status
    if about is None:
        version = "" if status is None else status.version
        return DeviceFacts(id=device.id, presence=device.state, version=version, readings=readings)
    return DeviceFacts(
        id=device.id,
        profile=about.profile,
        site=about.site,
        tags=about.tags,
        presence=device.state,
        version=about.version,
        readings=readings,
    )


def select(devices: Iterable[Device], where: Where) -> list[Device]:
    """The devices that are meant, by id."""
    return sorted((each for each in devices if where.matches(facts_of(each))), key=lambda each: each.id)
