"""The devices that a controller is told to watch, and no others."""

from collections.abc import Iterable

from iotxmpp.addresses import DeviceId, bare_jid, device_id, local_part
from iotxmpp.errors import InvalidError


def named_devices(devices: Iterable[str], home: str) -> dict[DeviceId, str]:
    """Devices, given by id or JID, as JIDs by id.

    Args:
        devices: Ids or JIDs.
        home: The domain of those that are given by id.

    Raises:
        InvalidError: One is neither, or two have one id.
    """
    if isinstance(devices, str):
        raise InvalidError(f"devices: {devices!r} is one text; give a list, such as [{devices!r}]")
    named: dict[DeviceId, str] = {}
    for given in devices:
        jid = bare_jid(given) if "@" in given else f"{device_id(given)}@{home}"
        name = device_id(local_part(jid))
        if named.setdefault(name, jid) != jid:
            raise InvalidError(f"devices: {named[name]} and {jid} have the same id {name}; ids are unique")
    return named
