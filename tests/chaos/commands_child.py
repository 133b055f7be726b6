"""What the device and the controller of a run of commands are told, and how both die at a crash point."""

import os
from pathlib import Path

from pydantic import Field

from iotxmpp import crashpoints
from tests.chaos.commands_plan import Shares
from tests.chaos.settings import ChildConfig


class MortalConfig(ChildConfig):
    """What both are told.

    Attributes:
        armed: The file that names a crash point to die at; most of the time there is none.
        ready: The file that says that it would end well now.
    """

    armed: Path
    ready: Path


class CommandDeviceConfig(MortalConfig):
    """What a device is told.

    Attributes:
        outbox: The file of its outbox; the journal lies beside it.
        ledger: The file where its command writes down what it does.
    """

    outbox: Path
    ledger: Path


class CallerConfig(MortalConfig):
    """What the controller is told.

    Attributes:
        store: The store's SQLAlchemy URL.
        notes: The file where it writes down its plain calls.
        progress: The file where it says how many commands have ended.
        herald: The Unix socket where it says that a command sets out.
        seed: Of the commands.
        count: How many there are.
        devices: The devices' ids.
        shares: What befalls them.
        window: Queued commands of one device that it waits for at most.
        timeout: Seconds that a plain call waits for its answer.
    """

    store: str
    notes: Path
    progress: Path
    herald: Path
    seed: int
    count: int
    devices: list[str]
    shares: Shares = Field(default_factory=Shares)
    window: int = 8
    timeout: float = 5.0


def die_when_armed(armed: Path) -> None:
    """Lets this process be told, while it runs, at which crash point to die next."""
    at = crashpoints.at

    def armed_at(label: str) -> None:
        try:
            wanted = armed.read_text()
        except FileNotFoundError:
            pass
        else:
            armed.unlink(missing_ok=True)
            os.environ[crashpoints.VARIABLE] = wanted
        at(label)

    crashpoints.at = armed_at
