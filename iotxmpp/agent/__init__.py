"""The device's side: sensors, commands, and a presence that tells the truth."""

from iotxmpp.agent.agent import Agent
from iotxmpp.agent.outbox.settings import OutboxSettings

__all__ = ["Agent", "OutboxSettings"]
