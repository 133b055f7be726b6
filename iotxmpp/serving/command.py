"""A command as it is served, and who calls it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from iotxmpp.addresses import bare_jid
from iotxmpp.commands import CommandSpec

Door = Literal["machine", "form", "chat", "controller", "twin", "acks", ""]
"""How a call came: JSON in one round trip, a form, a chat message, or through a controller for a person.

Beside calls there are desired settings and acks. Empty for none of these.
"""

Given = str | Mapping[str, Any] | None
"""Arguments as they came: JSON text, plain values, or none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command and the function that serves it, by keyword arguments."""

    spec: CommandSpec
    function: Callable[..., object]


@dataclass(slots=True)
class Noted:
    """What became of a request in the audit log; its door sees to it that something did.

    Attributes:
        done: It has a line, or was counted.
        given: The arguments of one that only reads, for the line at its end.
    """

    done: bool = False
    given: Given = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who calls, as far as the server vouches for it.

    Attributes:
        jid: The full JID that the call came from, as its server stamped it.
        by: The bare JID of the person on whose behalf it calls; the caller's own where it says none.
        role: The role that it calls with.
        door: How the call came.
        noted: Whether its request was written down.
    """

    jid: str
    by: str
    role: str
    door: Door
    noted: Noted = field(default_factory=Noted, compare=False, repr=False)

    @property
    def bare(self) -> str:
        """The account that calls; ids of calls are told apart by it."""
        return bare_jid(self.jid)
