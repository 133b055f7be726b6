"""What is written down of calls, and where: all that an audit's writers know of it.

The log on disk is `iotxmpp.serving.audit`; a device where nothing was called yet has no memory for it.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from iotxmpp.serving.command import Door

AuditResult = Literal[
    "started",
    "done",
    "failed",
    "refused",
    "rejected",
    "expired",
    "cancelled",
    "unknown",
    "note",
    "tampered",
]
"""What became of it; `note` and `tampered` are the log's own words about itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One thing that happened. Long texts are cut when they are written.

    Attributes:
        time: When, in seconds since 1970, by this machine's clock.
        who: The full JID that asked; empty for this machine itself.
        by: The bare JID of the person for whom it asked.
        device: The device's id.
        command: The command; empty for anything else.
        id: The call's id.
        door: How it came; empty for nobody's call.
        arguments: The arguments as JSON text.
        result: What became of it.
        text: Why, for people.
    """

    time: float
    who: str = ""
    by: str = ""
    device: str = ""
    command: str = ""
    id: str = ""
    door: Door = ""
    arguments: str = ""
    result: AuditResult
    text: str = ""


class Audit(Protocol):
    """Where it is written down who did what."""

    def append(self, entry: AuditEntry) -> int:
        """Writes it down, before it returns; does not wait for a disk.

        Returns:
            How many bytes that took on disk.

        Raises:
            StoreError: It cannot be written; what it tells of must not be done.
        """

    def close(self) -> None:
        """Ends it; calling it twice is harmless."""


class MemoryAudit:
    """An audit for tests, and for devices that keep nothing on disk.

    Attributes:
        entries: The newest entries.
    """

    def __init__(self, *, most: int = 1000) -> None:
        self.entries: deque[AuditEntry] = deque(maxlen=most)

    def append(self, entry: AuditEntry) -> int:
        """Writes it down; it takes no disk."""
        self.entries.append(entry)
        return 0

    def close(self) -> None:
        """Does nothing: the entries can still be read."""


def audit_path(outbox: Path) -> Path:
    """Where a device's audit log is, beside its outbox."""
    return outbox.with_name(f"{outbox.stem}.audit.log")
