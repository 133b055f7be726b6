"""What a controller's desk answers about twins: `twin` shows one, `desire` changes one."""

import json
from collections.abc import Mapping
from typing import Any, Final

from iotxmpp.controller.desk_shown import IN_LIST, PAGE, piece, shortened, whole_text
from iotxmpp.controller.device import Device
from iotxmpp.errors import ArgumentsError, InvalidError
from iotxmpp.twin import Settings, Twin, merged

LONGEST_DESIRED: Final = 24_000
"""Bytes of JSON of all that is desired of a device through a desk: the device reports it, and more."""

_LONGEST_VALUE = 1_000
_LONGEST_ABOUT = 4_000
_STATES = ("desired", "reported")


async def desk_twin(device: Device, after: str = "") -> dict[str, Any]:
    """A page of a device's twin as JSON.

    Args:
        device: The device.
        after: The last name of the page before; empty for the first page.

    Returns:
        `device`, its `state`, `desired` with `desired_version`, `reported` with `reported_version`,
        `refused`, `settled`, `in_sync`, and `settings`: what the device's self-description says of each.
        With more pages, `after`: the last name of this one. Where values are shortened, `shortened`: under
        `desired` and `reported`, the characters that their JSON has in full, by name.

    Raises:
        StoreError: What is kept could not be read.
    """
    return _page(device, await device.known_twin(), after)


async def desk_setting(device: Device, name: str, state: str, start: int) -> dict[str, Any]:
    """A piece of one value's JSON: `text` from there on, and `size`, the characters of it all.

    Raises:
        ArgumentsError: There is no such value.
        StoreError: What is kept could not be read.
    """
    if state not in _STATES:
        raise ArgumentsError(f"state {state!r}: use one of {', '.join(_STATES)}")
    twin = await device.known_twin()
    values = twin.desired if state == "desired" else twin.reported
    if name not in values:
        raise ArgumentsError(f"{device.id} has no {state} setting {name!r}")
    return piece(values[name], start)


async def desk_desire(device: Device, settings: Mapping[str, Any], *, by: str = "") -> dict[str, Any]:
    """Changes what is desired, and shows the twin as it is then; the device may not have it yet.

    Args:
        device: The device.
        settings: Values by name; None takes a setting away.
        by: The bare JID of who wants it.

    Returns:
        The first page, as for `desk_twin`.

    Raises:
        ArgumentsError: The settings break the rules, or become longer than `LONGEST_DESIRED`.
        StoreError: It could not be kept; nothing was changed.
    """
    check_travels(device.id, (await device.known_twin()).desired, settings)
    try:
        return _page(device, await device.desire_with(settings, by=by), "")
    except InvalidError as error:
        raise ArgumentsError(str(error)) from error


def check_travels(device: str, known: Settings, changes: Settings) -> None:
    """Refuses changes after which the settings would not travel to the device and back.

    What makes them shorter is never refused.

    Raises:
        ArgumentsError: They would not.
    """
    size = _size(merged(known, changes))
    if size > LONGEST_DESIRED and size > _size(known):
        raise ArgumentsError(
            f"settings of {device}: they would be {size} bytes of JSON in all, and at most {LONGEST_DESIRED}"
            " are taken, so that a device can report them; nothing was changed"
        )


def _size(settings: Settings) -> int:
    return len(
        json.dumps(dict(settings), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    )


def _page(device: Device, twin: Twin, after: str) -> dict[str, Any]:
    abouts = {} if device.about is None else device.about.settings
    names = sorted({*twin.desired, *twin.reported, *twin.refused, *abouts})
    left = [name for name in names if name > after]
    parts: dict[str, dict[str, Any]] = {"desired": {}, "reported": {}, "refused": {}, "settings": {}}
    marks: dict[str, dict[str, int]] = {state: {} for state in _STATES}
    size, last = 0, ""
    for name in left:
        found, long = _entry(device, twin, name)
        size += len(whole_text([name, found, long]))
        if last and size > PAGE:
            break
        last = name
        for part, value in found.items():
            parts[part][name] = value
        for state, characters in long.items():
            marks[state][name] = characters
    told = {state: sizes for state, sizes in marks.items() if sizes}
    return {
        "device": device.id,
        "state": device.state,
        "desired": parts["desired"],
        "desired_version": twin.desired_version,
        "reported": parts["reported"],
        "reported_version": twin.reported_version,
        "refused": parts["refused"],
        "settled": twin.settled,
        "in_sync": twin.in_sync,
        "settings": parts["settings"],
        **({"shortened": told} if told else {}),
        **({"after": last} if left and last != left[-1] else {}),
    }


def _entry(device: Device, twin: Twin, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    """What is known of one setting, and of what was shortened its characters in full."""
    found: dict[str, Any] = {}
    long: dict[str, int] = {}
    for state, values in zip(_STATES, (twin.desired, twin.reported), strict=True):
        if name in values:
            found[state], characters = shortened(values[name], _LONGEST_VALUE)
            if characters:
                long[state] = characters
    if name in twin.refused:
        found["refused"] = twin.refused[name]
    if device.about is not None and name in device.about.settings:
        found["settings"] = _about(device.about.settings[name].model_dump())
    return found, long


def _about(about: dict[str, Any]) -> dict[str, Any]:
    """What the device says of a setting; of a long schema the type alone."""
    if len(whole_text(about)) <= _LONGEST_ABOUT:
        return about
    kind = about["value"].get("type")
    value = {"type": kind} if isinstance(kind, str) and len(kind) <= IN_LIST else {}
    return {"description": str(about["description"])[:IN_LIST], "value": value}
