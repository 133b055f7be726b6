"""Texts of a profile that a device tells everybody: what cannot travel is refused before it runs."""

from typing import Annotated

from pydantic import AfterValidator, Field

from iotxmpp.xmltext import check_text


def _can_travel(text: str) -> str:
    return check_text(text, "text")


def _names_a_role(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; name the least role, such as operator")
    return text


Text = Annotated[str, AfterValidator(_can_travel)]
"""Text that XML can carry."""

Role = Annotated[str, Field(min_length=1), AfterValidator(_can_travel), AfterValidator(_names_a_role)]
"""A role's name."""
