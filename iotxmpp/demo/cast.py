"""The devices of the demo."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from iotxmpp.addresses import DeviceId


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """One device of the demo, and the command that is called on it.

    Attributes:
        device: Its id.
        profile: Its kind.
        command: A command of that profile.
        arguments: The command's arguments.
        every: Seconds between its readings.
        simulated: Whether it is simulated, whatever driver its profile has.
    """

    device: DeviceId
    profile: str
    command: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    every: float = 1.0
    simulated: bool = True

    @property
    def call(self) -> str:
        """The call for people, as `iotxmpp call` takes it."""
        pairs = (f"{key}={str(value).lower()}" for key, value in self.arguments.items())
        return " ".join((self.command, *pairs))

    def agent_file(self, account: str) -> str:
        """The text of its agent.toml."""
        driver = '[driver]\nkind = "simulated"\n' if self.simulated else ""
        return (
            f'account = "{account}"\nprofile = "{self.profile}"\n'
            f'every = {self.every}\nheartbeat = 5.0\nsite = "demo"\n'
            f'outbox = "{self.device}.outbox.db"\n'
            f"{driver}"
        )


CAST = (
    Role(device=DeviceId("this-machine"), profile="host", command="facts", every=2.0, simulated=False),
    Role(device=DeviceId("greenhouse"), profile="bme280", command="reset"),
    Role(device=DeviceId("irrigation"), profile="soil-moisture", command="water", arguments={"seconds": 4}),
    Role(device=DeviceId("relays"), profile="relay4", command="switch", arguments={"channel": 1, "on": True}),
    Role(device=DeviceId("front-door"), profile="door-contact", command="identify", arguments={"seconds": 4}),
)
