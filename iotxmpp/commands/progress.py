"""How far a running command is, told to its caller."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from iotxmpp.commands.calls import CALL_NAMESPACE
from iotxmpp.xmltext import check_text, clean_text

_PROGRESS_TAG = f"{{{CALL_NAMESPACE}}}progress"
_LONGEST_TEXT = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a running command is.

    Attributes:
        id: The call's id.
        fraction: How much is done, from 0 to 1; None where nobody can say.
        text: What it does, for people.
    """

    id: str
    fraction: float | None = None
    text: str = ""


def progress_element(id: str, fraction: float | None, text: str = "") -> Element:  # noqa: A002  # the wire's word
    """How far a running call is; it travels in a message of type `headline` to the caller's full JID.

    Args:
        id: The call's id.
        fraction: How much is done, cut to 0 to 1; None where nobody can say.
        text: What it does, for people; cut to 200 characters.

    Raises:
        InvalidError: The id cannot travel.
    """
    element = Element(_PROGRESS_TAG, {"id": check_text(id, "id of the call")})
    if fraction is not None and not math.isnan(fraction):
        element.set("fraction", f"{min(1.0, max(0.0, fraction)):.4g}")
    element.text = clean_text(text, _LONGEST_TEXT)
    return element


def read_progress(extensions: Iterable[Element]) -> Progress | None:
    """The progress among a message's elements; None where there is none that can be read."""
    for element in extensions:
        if element.tag == _PROGRESS_TAG and element.get("id"):
            try:
                fraction = float(element.get("fraction", ""))
            except ValueError:
                fraction = math.nan
            return Progress(
                id=element.get("id", ""),
                fraction=fraction if 0 <= fraction <= 1 else None,
                text=clean_text(element.text or "", _LONGEST_TEXT),
            )
    return None
