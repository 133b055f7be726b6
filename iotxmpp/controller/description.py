"""From an item of a device's `about` node to its description."""

import math

from pydantic import ValidationError

from iotxmpp.about import About
from iotxmpp.controller.items import Refused, Sender, check_sender, item_json
from iotxmpp.errors import InvalidError
from iotxmpp.link import Item
from iotxmpp.senml import check_name
from iotxmpp.units import check_unit
from iotxmpp.validation import explain

MAX_CHANNELS = 500
"""Channels that a device may describe; they become labels of metrics."""


def check_about(item: Item, device: Sender) -> About:
    """A device's description.

    Raises:
        Refused: It is not in the form that `iotxmpp.about` gives, is another device's, or cannot be held.
    """
    check_sender(item, device)
    text = item_json(item)
    try:
        about = About.model_validate_json(text)
    except ValidationError as error:
        raise Refused("about", explain(error, "about"), text) from error
    if about.device != device.id:
        raise Refused("identity", f"about: it names device {about.device!r}, not {device.id}", text)
    try:
        _check_contents(about)
    except InvalidError as error:
        raise Refused("about", error, text) from error
    return about


def _check_contents(about: About) -> None:
    if not math.isfinite(about.heartbeat):
        raise InvalidError("about: heartbeat: must be a finite number of seconds")
    if len(about.channels) > MAX_CHANNELS:
        raise InvalidError(f"about: {len(about.channels)} channels, at most {MAX_CHANNELS} are taken")
    for name, channel in about.channels.items():
        where = f"about: channel {check_name(name, 'about: channel')}"
        if channel.unit is not None:
            check_unit(channel.unit, where)
        if channel.range is not None:
            low, high = channel.range
            if not low <= high:
                raise InvalidError(f"{where}: range {low:g} to {high:g}: give the least value first")
