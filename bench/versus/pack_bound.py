"""Bounds the packs that an agent forms, where both sides are to send so many readings a message."""

from iotxmpp.agent import line
from iotxmpp.agent.outbox import packs


def bound_packs(most: int) -> None:
    """From now on, packs of agents in this process have at most so many readings."""
    packs.MOST_READINGS = most
    vars(line)["MOST_READINGS"] = most  # its own name for the same
