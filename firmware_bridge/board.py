"""Decides which level a board speaks, and is that level's session then (docs/serial.md, 10). No I/O."""

import time
from collections.abc import Callable, Mapping
from typing import Literal

from firmware_bridge.description import Description
from firmware_bridge.events import Counts, Greeted, Lost, Refused, Session, SessionEvent, keeping
from firmware_bridge.learning import Known
from firmware_bridge.session import FrameSession
from firmware_bridge.textsession import TextSession
from iotxmpp.errors import LinkDownError
from iotxmpp.readings import Value

Protocol = Literal["auto", "text", "frames"]

TEXT_AFTER = 1.0
"""Seconds after the first line that was understood, until a board without frames counts as a text board."""

_TEXT, _FRAMES = 0, 1


class BoardSession:
    """A board of either level; see `firmware_bridge.events.Session` for its face.

    With `auto`, both sessions listen, and what they tell is kept until one is chosen: frames at the first
    hello in a frame; text at a hello of level 0, or once lines came and no frame did. A text board that
    later says hello in a frame, as after an update, is a frames board from then on.

    Args:
        protocol: The level, or `auto`.
        known: Descriptions that are remembered; give the same mapping to every session.
        wall: Gives seconds since 1970.
        first_call: See `FrameSession` and `TextSession`.
    """

    def __init__(
        self,
        *,
        protocol: Protocol = "auto",
        known: Known | None = None,
        wall: Callable[[], float] = time.time,
        first_call: int | None = None,
    ) -> None:
        self._protocol = protocol
        self._frames = FrameSession(known=known, wall=wall, first_call=first_call)
        self._text = TextSession(wall=wall, first_call=first_call)
        self._chosen: Session | None = None
        self._kept: dict[int, list[SessionEvent]] = {_TEXT: [], _FRAMES: []}
        self._text_since: float | None = None
        self._open = False

    @property
    def level(self) -> int | None:
        """0 for text, 1 for frames, None while that is not clear."""
        if self._chosen is None:
            return None
        return 1 if self._chosen is self._frames else 0

    @property
    def board(self) -> Greeted | None:
        """Who the board is."""
        return None if self._chosen is None else self._chosen.board

    @property
    def description(self) -> Description | None:
        """What the board has."""
        return None if self._chosen is None else self._chosen.description

    @property
    def counts(self) -> Counts:
        """What was counted; while the level is not clear, by the session for frames."""
        return (self._chosen or self._frames).counts

    def open(self, now: float) -> list[SessionEvent]:
        """Begins on a new connection."""
        events = self.close(now)
        self._open = True
        self._kept = {_TEXT: [], _FRAMES: []}
        self._text_since = None
        self._chosen = {"auto": None, "text": self._text, "frames": self._frames}[self._protocol]
        if self._chosen is not None:
            return [*events, *self._chosen.open(now)]
        self._keep(_FRAMES, self._frames.open(now))
        self._keep(_TEXT, self._text.open(now))
        return events

    def close(self, now: float) -> list[SessionEvent]:
        """The connection is gone; calls that were not answered end."""
        events = [] if self._chosen is None else self._chosen.close(now)
        self._frames.close(now)
        self._text.close(now)
        self._chosen = None
        self._open = False
        return events

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Takes what came."""
        if not self._open:
            return []
        if self._chosen is not None:
            events = self._chosen.receive(data, now)
            return events if self._chosen is self._frames else [*events, *self._rise(now)]
        self._keep(_FRAMES, self._frames.receive(data, now))
        self._keep(_TEXT, self._text.receive(data, now))
        return self._choose(now)

    def call(self, name: str, arguments: Mapping[str, Value], now: float, timeout: float = 10.0) -> int:
        """Asks the board to carry out a command; see `Session.call`."""
        if self._chosen is None:
            raise LinkDownError(f"command {name}: the board has not said yet who it is; it was not started")
        return self._chosen.call(name, arguments, now, timeout)

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        if self._chosen is not None:
            return self._chosen.outgoing()
        frame, text = self._frames.outgoing(), self._text.outgoing()
        # To a text sketch, a frame and its line end are one line that it does not know.
        return frame + (text or b"\n") if frame else text

    def next_timeout(self) -> float | None:
        """When `tick` is due."""
        if self._chosen is not None:
            return self._chosen.next_timeout()
        times = [self._frames.next_timeout(), self._text.next_timeout()]
        if self._text_since is not None and not self._text.frames_promised:
            times.append(self._text_since + TEXT_AFTER)
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> list[SessionEvent]:
        """Does what is due."""
        if not self._open:
            return []
        if self._chosen is not None:
            return self._chosen.tick(now)
        self._keep(_FRAMES, self._frames.tick(now))
        self._keep(_TEXT, self._text.tick(now))
        return self._choose(now)

    def _keep(self, level: int, events: list[SessionEvent]) -> None:
        if events:
            self._kept[level] = keeping(self._kept[level], events)

    def _choose(self, now: float) -> list[SessionEvent]:
        if any(isinstance(event, Greeted | Refused) for event in self._kept[_FRAMES]):
            return self._take(frames=True, now=now)
        text = self._text.board
        if text is not None and self._text_since is None:
            self._text_since = now
        framed = self._text.frames_promised
        waited = not framed and self._text_since is not None and now >= self._text_since + TEXT_AFTER
        # A sketch may say nothing for long; opening its port again would only restart it.
        lost = any(isinstance(event, Lost) for event in self._kept[_FRAMES])
        named = not framed and text is not None and bool(text.id or text.name)
        if waited or lost or named:
            return self._take(frames=False, now=now)
        return []

    def _take(self, *, frames: bool, now: float) -> list[SessionEvent]:
        chosen: Session = self._frames if frames else self._text
        (self._text if frames else self._frames).close(now)
        self._chosen = chosen
        events, self._kept = self._kept[frames], {_TEXT: [], _FRAMES: []}
        return events

    def _rise(self, now: float) -> list[SessionEvent]:
        """A text board that says hello in a frame is asked again who it is, in frames."""
        if self._protocol != "auto" or self._chosen is not self._text or not self._text.frames_seen:
            return []
        events = self._text.close(now)
        self._chosen = self._frames
        return [*events, *self._frames.open(now)]
