"""How a controller's session with a desk is found: `urn:iotxmpp:fleet:0`."""

from xml.etree.ElementTree import Element

NAMESPACE = "urn:iotxmpp:fleet:0"

CONTROLLER_TAG = f"{{{NAMESPACE}}}controller"
"""Says that this session is a controller with a desk: in its presence, and in its answer to who seeks it."""

SEEK_TAG = f"{{{NAMESPACE}}}seek"
"""Asks all sessions of an account which of them is a controller."""


def controller_element() -> Element:
    """What marks a controller."""
    return Element(CONTROLLER_TAG)
