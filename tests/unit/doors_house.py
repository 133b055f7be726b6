"""A valve behind the doors, calls of it, and what an answer to a bad one is."""

from typing import Annotated, Any
from xml.etree.ElementTree import Element

import pytest
from pydantic import Field

from iotxmpp.commands import call_element, read_reply
from iotxmpp.errors import StanzaError
from iotxmpp.payloads import json_element
from tests.unit.serving_world import DESK, World

MEGABYTE = 1_000_000


class Valve:
    """Opens, and remembers."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def open(self, seconds: Annotated[int, Field(ge=1, le=60)], note: str = "") -> str:
        """Opens the valve."""
        self.opened.append(seconds)
        return f"{seconds} s {note}".strip()


def call(arguments: str, *, name: str = "open", **more: Any) -> Element:  # noqa: ANN401  # a call's own
    """A machine's call with that text as arguments."""
    element = call_element(name, {}, id=more.pop("id", "c"), **more)
    element.append(json_element(arguments))
    return element


async def refused(world: World, element: Element, sender: str = DESK) -> StanzaError:
    with pytest.raises(StanzaError) as caught:
        await world.ask(element, sender)
    return caught.value


async def still_works(world: World, *, name: str = "open", arguments: str = '{"seconds": 7}') -> None:
    """The machine's door goes on."""
    read_reply(await world.ask(call(arguments, name=name, id=f"good-{len(world.audit.entries)}")))
