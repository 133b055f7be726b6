"""Everything that was declared of a device, and its self-description."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from iotxmpp.about import About, Channel
from iotxmpp.access import Access
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.agent.outbox.settings import OutboxSettings, WhenFull
from iotxmpp.agent.sensors import Sensor
from iotxmpp.agent.settings import Setting, setting_abouts
from iotxmpp.readings import Value
from iotxmpp.serving.command import Command
from iotxmpp.version import VERSION

Urgent = bool | Callable[[Value], bool]
"""Whether a channel's readings are alarms, or which of its values are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that was declared of a device.

    Attributes:
        account: Its account.
        device: Its id.
        controllers: The bare JIDs that may do everything with it.
        access: Who may do what, the controllers included.
        collector: The one of them whose acks count; empty for none.
        heartbeat: The promised longest silence, in seconds.
        site: Where it stands.
        profile: What it was made from, as `id version`; empty for none.
        channels: Its channels by name.
        sensors: What reads them.
        commands: Its commands by name.
        settings: What the collector may change, by name, besides the sensors' intervals.
        resources: What is entered before anything is read, and left at the end.
        outbox: How its outbox is set up.
        when_full: What happens to a channel's readings when that is full, where a channel says it.
        urgent: The channels whose readings are committed at once.
        tags: Words of its owner's, to choose it by.
        people: The bare JIDs that its alarms go to.
        room: In which room it stands.
    """

    account: Account
    device: DeviceId
    controllers: frozenset[str]
    access: Access
    collector: str
    heartbeat: float
    site: str
    profile: str
    channels: Mapping[str, Channel]
    sensors: Sequence[Sensor]
    commands: Mapping[str, Command]
    settings: Mapping[str, Setting]
    resources: Sequence[AbstractAsyncContextManager[Any]]
    outbox: OutboxSettings
    when_full: Mapping[str, WhenFull]
    urgent: Mapping[str, Urgent]
    tags: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    room: str = ""

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
            version=VERSION,
            heartbeat=self.heartbeat,
            site=self.site,
            room=self.room,
            channels=dict(self.channels),
            commands={name: command.spec.about() for name, command in self.commands.items()},
            tags=self.tags,
            settings=setting_abouts(self.settings, self.sensors),
        )
