"""Everything that was declared of a device, and its self-description."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from iotxmpp.about import About, Channel
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.agent.outbox.settings import OutboxSettings, WhenFull
from iotxmpp.agent.sensors import Sensor
from iotxmpp.agent.serving import Command
from iotxmpp.readings import Value

Urgent = bool | Callable[[Value], bool]
"""Whether a channel's readings are alarms, or which of its values are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that was declared of a device.

    Attributes:
        account: Its account.
        device: Its id.
        controllers: The bare JIDs that it obeys, and that may follow its presence.
        collector: The one of them whose acks count; empty for none.
        heartbeat: The promised longest silence, in seconds.
        site: Where it stands.
        profile: What it was made from, as `id version`; empty for none.
        channels: Its channels by name.
        sensors: What reads them.
        commands: Its commands by name.
        resources: What is entered before anything is read, and left at the end.
        outbox: How its outbox is set up.
        when_full: What happens to a channel's readings when that is full, where a channel says it.
        urgent: The channels whose readings are committed at once.
    """

    account: Account
    device: DeviceId
    controllers: frozenset[str]
    collector: str
    heartbeat: float
    site: str
    profile: str
    channels: Mapping[str, Channel]
    sensors: Sequence[Sensor]
    commands: Mapping[str, Command]
    resources: Sequence[AbstractAsyncContextManager[Any]]
    outbox: OutboxSettings
    when_full: Mapping[str, WhenFull]
    urgent: Mapping[str, Urgent]

    @property
    def nodes(self) -> DeviceNodes:
        """The device's nodes."""
        return DeviceNodes(service=self.account.service, device=self.device)

    def is_urgent(self, values: Mapping[str, Value]) -> bool:
        """Whether one of these values is an alarm."""
        for name, value in values.items():
            urgent = self.urgent.get(name, False)
            if urgent(value) if callable(urgent) else urgent:
                return True
        return False

    def about(self) -> About:
        """The device's self-description."""
        return About(
            device=self.device,
            profile=self.profile,
            version=version("iotxmpp"),
            heartbeat=self.heartbeat,
            site=self.site,
            channels=dict(self.channels),
            commands={name: command.spec.about() for name, command in self.commands.items()},
        )
