"""The device's side: sensors, commands, and a presence that tells the truth."""

from iotxmpp.agent.agent import Agent

__all__ = ["Agent"]
