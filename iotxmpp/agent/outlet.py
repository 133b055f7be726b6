"""Where values and problems of a running agent go that come from outside its sensors."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from iotxmpp.agent.presence import Problems
from iotxmpp.readings import Value

Take = Callable[[Mapping[str, Value], float | None], None]
"""Takes values by channel, and when they were read; raises `InvalidError` or `OutboxFullError`."""


class Outlet(NamedTuple):
    """What a running agent takes.

    Attributes:
        take: Takes checked values, to be kept soon and published.
        problems: What does not work, as the device's presence tells it.
    """

    take: Take
    problems: Problems
