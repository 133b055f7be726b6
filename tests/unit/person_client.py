"""A person's client: what it sends, and what it reads in an answer."""

from typing import Annotated
from xml.etree.ElementTree import Element, SubElement

import pytest
from pydantic import Field

from iotxmpp.commands import COMMAND_TAG, COMMANDS_NAMESPACE
from iotxmpp.errors import StanzaError
from tests.unit.serving_world import DESK, World

FORM = "{jabber:x:data}x"
Channel = Annotated[int, Field(ge=1, le=4, title="Channel")]


class Relay:
    """Switches, and remembers."""

    def __init__(self) -> None:
        self.switched: list[tuple[int, bool]] = []

    def switch(self, channel: Channel = 1, on: bool = True) -> dict[str, object]:
        """Switches a channel."""
        self.switched.append((channel, on))
        return {"channel": channel, "on": on}


def command(action: str | None = None, session: str = "", *, name: str = "switch", **values: str) -> Element:
    """What a person's client sends."""
    element = Element(COMMAND_TAG, {"node": name})
    if action is not None:
        element.set("action", action)
    if session:
        element.set("sessionid", session)
    if values:
        form = SubElement(element, FORM, {"type": "submit"})
        for var, value in values.items():
            field = SubElement(form, "{jabber:x:data}field", {"var": var})
            SubElement(field, "{jabber:x:data}value").text = value
    return element


def session_of(answer: Element) -> str:
    assert answer.get("status") == "executing"
    return answer.get("sessionid", "")


def fields(answer: Element) -> dict[str, str]:
    """The form's fields with their values."""
    form = answer.find(FORM)
    assert form is not None
    return {
        each.get("var", ""): each.findtext("{jabber:x:data}value", "")
        for each in form.findall("{jabber:x:data}field")
        if each.get("var")
    }


def actions(answer: Element) -> tuple[str | None, set[str]]:
    found = answer.find(f"{{{COMMANDS_NAMESPACE}}}actions")
    assert found is not None
    return found.get("execute"), {each.tag.partition("}")[2] for each in found}


def note(answer: Element) -> tuple[str | None, str]:
    found = answer.find(f"{{{COMMANDS_NAMESPACE}}}note")
    return (None, "") if found is None else (found.get("type"), found.text or "")


async def fault(world: World, element: Element, sender: str = DESK) -> StanzaError:
    with pytest.raises(StanzaError) as caught:
        await world.ask(element, sender)
    return caught.value
