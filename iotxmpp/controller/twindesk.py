"""What a controller's desk answers about twins: `twin` shows one, `desire` changes one."""

from collections.abc import Mapping
from typing import Any

from iotxmpp.controller.device import Device
from iotxmpp.errors import ArgumentsError, InvalidError
from iotxmpp.twin import Twin


async def desk_twin(device: Device) -> dict[str, Any]:
    """A device's twin as JSON.

    Returns:
        `device`, its `state`, `desired` with `desired_version`, `reported` with `reported_version`,
        `refused`, `settled`, `in_sync`, and `settings`: what the device's self-description says of each.

    Raises:
        StoreError: What is kept could not be read.
    """
    return _shown(device, await device.known_twin())


async def desk_desire(device: Device, settings: Mapping[str, Any], *, by: str = "") -> dict[str, Any]:
    """Changes what is desired, and shows the twin as it is then; the device may not have it yet.

    Args:
        device: The device.
        settings: Values by name; None takes a setting away.
        by: The bare JID of who wants it.

    Returns:
        As for `desk_twin`.

    Raises:
        ArgumentsError: The settings break the rules.
        StoreError: It could not be kept; nothing was changed.
    """
    try:
        return _shown(device, await device.desire_with(settings, by=by))
    except InvalidError as error:
        raise ArgumentsError(str(error)) from error


def _shown(device: Device, twin: Twin) -> dict[str, Any]:
    settings = {} if device.about is None else device.about.settings
    return {
        "device": device.id,
        "state": device.state,
        "desired": dict(twin.desired),
        "desired_version": twin.desired_version,
        "reported": dict(twin.reported),
        "reported_version": twin.reported_version,
        "refused": dict(twin.refused),
        "settled": twin.settled,
        "in_sync": twin.in_sync,
        "settings": {name: setting.model_dump() for name, setting in settings.items()},
    }
