"""What a port says, as it is heard: who is there, its values and events, and what is wrong. No I/O."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from firmware_bridge.description import Description
from firmware_bridge.events import (
    Damaged,
    Described,
    Dropped,
    Greeted,
    Happened,
    Logged,
    Refused,
    Sampled,
    SessionEvent,
)
from iotxmpp.readings import Value

MOST_NAMES = 512
"""Channels, and events, that are noted: a broken sketch may print another name in each line."""

_MOST_LOGS = 5
_LISTED = 8

Protocol = Literal["auto", "pms5003"]


@dataclass(kw_only=True)
class Seen:
    """A channel that was seen.

    Attributes:
        value: Its last value.
        kinds: The types that its values had.
        count: How many values came.
        at: When the last one came, by the monotonic clock.
        low: The least number.
        high: The greatest number.
    """

    value: Value
    kinds: set[str] = field(default_factory=set)
    count: int = 0
    at: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def note(self, value: Value, now: float) -> None:
        """Notes a value."""
        self.value, self.at = value, now
        self.count += 1
        self.kinds.add(type(value).__name__)
        if not isinstance(value, bool | str):
            self.low, self.high = min(self.low, value), max(self.high, value)


@dataclass(kw_only=True)
class Findings:
    """What a port says.

    Attributes:
        port: The port.
        baud: Its speed.
        protocol: The driver's `protocol` that understands it.
        board: Who the board is; None as long as it does not say.
        description: What a board of level 1 says that it has.
        channels: What was seen, by channel.
        events: The events that were seen, with the last text of each.
        logs: The last lines of its log.
        damaged: Damaged frames and lines.
        damage: What was wrong with the newest of them; empty for none.
        refused: Why the board cannot be served as it is; empty if it can.
        unnoted: Values and events whose names were too many.
        unfit: What came last instead of a number, such as `nan`, by channel.
        came: The same of text lines, from whoever reads them; a session tells the channels alone.
    """

    port: str
    baud: int
    protocol: Protocol = "auto"
    board: Greeted | None = None
    description: Description | None = None
    channels: dict[str, Seen] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    damaged: int = 0
    damage: str = ""
    refused: str = ""
    unnoted: int = 0
    unfit: dict[str, str] = field(default_factory=dict)
    came: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_readings(self) -> bool:
        """Whether there is something that a profile can be made of."""
        known = self.description
        has = known is not None and bool(known.channels or known.commands)
        return has or bool(self.channels or self.events)

    @property
    def unread(self) -> dict[str, str]:
        """The channels of which no value came but what is no number, and that."""
        return {name: came for name, came in self.unfit.items() if name not in self.channels}

    def why_unread(self) -> str:
        """Why these have no reading, and what to do, for people; empty if there are none."""
        names = [f"{name} ({came})" for name, came in sorted(self.unread.items())]
        if not names:
            return ""
        more = f" and {len(names) - _LISTED} more" if names[_LISTED:] else ""
        return (
            f"no reading of {', '.join(names[:_LISTED])}{more}: what came is no number, and sketches give"
            " that where a sensor does not answer; check the sensor and its wiring"
        )

    def hear(self, events: Sequence[SessionEvent]) -> None:
        """Takes what the session tells."""
        now = time.monotonic()
        for event in events:
            match event:
                case Sampled():
                    self._note(event.values, now)
                case Greeted():
                    self._greet(event)
                case Described():
                    self.description = event.description
                case Happened():
                    self._note_event(event)
                case Dropped():
                    self._note_unfit(event.channels)
                case Logged():
                    self.logs = [*self.logs, event.text][-_MOST_LOGS:]
                case Damaged():
                    self.damage = event.why
                case Refused():
                    self.refused = event.text
                case _:
                    continue

    def _greet(self, board: Greeted) -> None:
        if self.board is None or board.id or board.name:
            self.board = board

    def _note_unfit(self, channels: Sequence[str]) -> None:
        for name in channels:
            if self._has_room(self.unfit, name):
                self.unfit[name] = self.came.get(name, "nan or inf")

    def _note_event(self, event: Happened) -> None:
        if self._has_room(self.events, event.name):
            self.events[event.name] = event.text

    def _note(self, values: Mapping[str, Value], now: float) -> None:
        for name, value in values.items():
            if self._has_room(self.channels, name):
                self.channels.setdefault(name, Seen(value=value)).note(value, now)

    def _has_room(self, noted: Mapping[str, object], name: str) -> bool:
        has = name in noted or len(noted) < MOST_NAMES
        self.unnoted += not has
        return has
