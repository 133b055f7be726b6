"""Everything that was declared of a device, and its self-description."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from iotxmpp.about import About, Channel
from iotxmpp.account import Account
from iotxmpp.addresses import DeviceId, DeviceNodes
from iotxmpp.agent.sensors import Sensor
from iotxmpp.agent.serving import Command


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that was declared of a device.

    Attributes:
        account: Its account.
        device: Its id.
        controllers: The bare JIDs that it obeys, and that may follow its presence.
        heartbeat: The promised longest silence, in seconds.
        site: Where it stands.
        profile: What it was made from, as `id version`; empty for none.
        channels: Its channels by name.
        sensors: What reads them.
        commands: Its commands by name.
        resources: What is entered before anything is read, and left at the end.
    """

    account: Account
    device: DeviceId
    controllers: frozenset[str]
    heartbeat: float
    site: str
    profile: str
    channels: Mapping[str, Channel]
    sensors: Sequence[Sensor]
    commands: Mapping[str, Command]
    resources: Sequence[AbstractAsyncContextManager[Any]]

    @property
    def nodes(self) -> DeviceNodes:
        """The device's nodes."""
        return DeviceNodes(service=self.account.service, device=self.device)

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
