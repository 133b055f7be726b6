"""What a desk tells of devices to those who call them: how they are, and what they say of a command."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from iotxmpp.about import CommandAbout
from iotxmpp.controller.desk_shown import PAGE, whole_text
from iotxmpp.controller.device import Device
from iotxmpp.controller.selection import select
from iotxmpp.errors import ArgumentsError
from iotxmpp.where import WhereError, parse_where

MOST_NAMES: Final = 50
"""Other commands of a device that are named; and characters of each name."""

_ANYTHING = {"type": "object", "additionalProperties": True}


def described(device: Device, command: str) -> dict[str, Any]:
    """How a device is, and what it says of a command.

    Returns:
        `device`, its `state`, whether it is `online` and has `described` itself, the names of its `commands`,
        and `about`: what it says of this command; null where it says nothing of it. Of long ones the
        arguments are left out: the device itself checks them.
    """
    about = None if device.about is None else device.about.commands.get(command)
    return {**_row(device), "commands": _names(device), "about": None if about is None else _told(about)}


def chosen_page(
    devices: Iterable[Device], text: str, command: str, after: str, *, denied: Callable[[Device], str]
) -> dict[str, Any]:
    """Those of some devices that an expression means, as many as fit one answer.

    Args:
        devices: The devices.
        text: The expression.
        command: The command that is to be called.
        after: The last device of the page before; empty for the first page.
        denied: Says why the asker may not call it on a device; empty where they may.

    Returns:
        `known`: how many there are. `devices`: of each what `described` tells, but for `about`, which is the
        place of what it says in `abouts`, or null; `commands` are named where it has not this one, and
        `denied` says why the asker may not call it. With more pages, `after`: the last device of this one.

    Raises:
        ArgumentsError: The expression is none.
    """
    try:
        where = parse_where(text)
    except WhereError as error:
        raise ArgumentsError(str(error)) from error
    all_ = list(devices)
    rows: list[dict[str, Any]] = []
    abouts: dict[str, int] = {}
    listed: list[dict[str, Any]] = []
    size = 0
    answer = {"known": len(all_), "devices": rows, "abouts": listed}
    for device in select((each for each in all_ if each.id > after), where):
        about = None if device.about is None else device.about.commands.get(command)
        row, key = _row(device), ""
        if about is None:
            row |= {"commands": _names(device), "about": None}
        else:
            told = _told(about)
            key = whole_text(told)
            row["about"] = abouts.get(key, len(listed))
            if why := denied(device):
                row["denied"] = why
        size += len(whole_text(row)) + (0 if key in abouts else len(key))
        if rows and size > PAGE:
            return {**answer, "after": rows[-1]["device"]}
        if key and key not in abouts:
            abouts[key] = len(listed)
            listed.append(told)
        rows.append(row)
    return answer


def _row(device: Device) -> dict[str, Any]:
    return {
        "device": device.id,
        "state": device.state,
        "online": device.online,
        "described": device.about is not None,
    }


def _names(device: Device) -> list[str]:
    names = [] if device.about is None else sorted(device.about.commands)
    return [name if len(name) <= MOST_NAMES else f"{name[:MOST_NAMES]}…" for name in names[:MOST_NAMES]]


def _told(about: CommandAbout) -> dict[str, Any]:
    told = about.model_dump(mode="json", exclude={"description", "title", "steps"})
    if len(whole_text(told)) <= PAGE // 2:
        return told
    return {"arguments": _ANYTHING, "role": about.role[:MOST_NAMES], "once": about.once}
