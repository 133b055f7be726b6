"""What the simulated devices and the controller are told, each in a JSON file."""

import importlib
from functools import partial
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from pydantic import BaseModel, ConfigDict, Field

Mutation = Literal["dedup", "fsync", "ack"]


class ChildConfig(BaseModel):
    """What both are told.

    Attributes:
        account: The file of its account.
        quick: Whether its link comes back at once, not after the delays of a fleet.
        constants: Values for constants of the product, by `module:NAME`, so that a short run need not wait.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Path
    quick: bool = False
    constants: dict[str, float] = Field(default_factory=dict)

    def prepare(self) -> None:
        """Sets what is wanted of the product in this process."""
        for where, value in self.constants.items():
            module, _, name = where.partition(":")
            loaded = importlib.import_module(module)
            if not hasattr(loaded, name):
                raise AttributeError(f"{module} has no {name}")
            setattr(loaded, name, value)
        if self.quick:
            import iotxmpp.xmpp
            from iotxmpp.backoff import Backoff

            link = partial(iotxmpp.xmpp.XmppLink, backoff=Backoff(first=0.05, longest=0.4))
            patch.object(iotxmpp.xmpp, "XmppLink", link).start()


class DeviceConfig(ChildConfig):
    """What a device is told.

    Attributes:
        outbox: The file of its outbox.
        outbox_bytes: How large that may grow; None for the product's own bound.
        ledger: The file of its ledger.
        state: The file where it says how it is.
        readings: How many readings it makes in its life, however often it is killed.
        rate: How many of them a second.
        batch: How many at once, at most.
    """

    outbox: Path
    outbox_bytes: int | None = None
    ledger: Path
    state: Path
    readings: int
    rate: float
    batch: int


class DeviceState(BaseModel):
    """How a device is, in its file of state.

    Attributes:
        made: The number of the last reading that it planned.
        pending: Readings whose publish() has not returned.
        buffered: Readings in the outbox that are not acknowledged.
        problems: What the agent says does not work.
    """

    made: int
    pending: int
    buffered: int
    problems: tuple[str, ...] = ()


class KeeperConfig(ChildConfig):
    """What a controller is told.

    Attributes:
        store: The store's SQLAlchemy URL.
    """

    store: str
