"""What a board says, on its way to the agent: values to the mailbox, logs to the log, damage counted."""

import errno
import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from firmware_bridge.binding import Binding
from firmware_bridge.board import BoardSession
from firmware_bridge.events import (
    BoardChanged,
    Damaged,
    Described,
    Dropped,
    Gap,
    Greeted,
    Happened,
    Logged,
    Refused,
    Restarted,
    Sampled,
    Session,
    SessionEvent,
    keeping,
)
from firmware_bridge.finding import described
from firmware_bridge.health import Health, Throttle
from firmware_bridge.lastvalues import LastValues
from firmware_bridge.link import Hear, Link
from firmware_bridge.mailbox import Mailbox, Packet
from iotxmpp.profiles import Profile
from iotxmpp.readings import Value

MUTE_AFTER = 30.0
"""Seconds after which a taken port of which nothing is understood is a problem; a slow one has said two."""

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
_COUNTED_EVERY = 10.0
_ASKED_WITHIN = 10.0
_MOST_STRANGERS = 64
_LISTED = 8
_BOARD = logging.getLogger("iotxmpp.board")
_LOGGER = logging.getLogger(__name__)


class Ear:
    """Hears for one driver; while a board is looked for, those that are asked are heard apart.

    Args:
        binding: The names on both sides.
        silence: Seconds after which a number without a new value is a problem; 0 for never.
        profile: The kind of device.

    Attributes:
        mailbox: What is to be taken by the agent.
        said: What the board said of itself last; None for nothing.
    """

    def __init__(self, binding: Binding, silence: float, profile: Profile) -> None:
        self.mailbox = Mailbox()
        self.said: Greeted | None = None
        self._binding = binding
        kinds = profile.reading_kinds()
        numbers = [name for name in binding.names if kinds[name].type in ("float", "int")]
        self._last = LastValues(numbers, silence)
        self._device = profile.id
        self._link: Link | None = None
        self._greeting = ""
        self._is_told = False
        self._kept: dict[str, list[SessionEvent]] = {}
        self._board: str | None = None
        self._speaker: Greeted | None = None
        self._heard = self._served = time.monotonic()
        self._counted = 0.0
        self._happened: dict[str, int] = {}
        self._throttle = Throttle()
        self._greetings = Throttle(a_second=0.1, burst=10.0)
        self._health = Health("serial line", time.monotonic())
        self._strangers: set[str] = set()
        self._refused = ""

    def at(self, port: str, board: str | None) -> Hear:
        """Who hears at a port that is asked; what is heard is kept until one is chosen."""
        self._board = board
        self._kept[port] = []

        def hear(events: Sequence[SessionEvent]) -> None:
            if self._link is not None and self._link.where == port:
                self._take(events)
            elif port in self._kept:
                self._kept[port] = keeping(self._kept[port], events)

        return hear

    def serve(self, link: Link) -> None:
        """This link was chosen; it counts as connected once its board shows that it can be served."""
        self._link = link
        self._is_told = False
        self._served = time.monotonic()
        self._health = Health(link.where, self._served)
        self._last.forget()
        self._speaker = None
        kept, self._kept = self._kept.get(link.where, []), {}
        self._take(kept)
        if link.error is not None:
            self.mailbox.fail(link.error)
        else:
            link.on_lost = self.mailbox.fail

    def known(self, session: Session | None, now: float) -> dict[str, Value | OSError]:
        """What is known without asking; an error for each channel that cannot be given."""
        # A board that speaks frames is asked all the time; a link without answers gives no values at all.
        heard = self._heard if session is None or session.description is None else now
        known = self._last.known(now, served=self._served, heard=heard)
        known |= {name: OSError(errno.EPROTO, why) for name, why in self._binding.faults.items()}
        if session is not None:
            known |= self._counts(session)
        return known

    def troubles(self) -> dict[str, str]:
        """What is wrong without being an error, by a key of each."""
        now = time.monotonic()
        self._judge(now)
        texts = {"serial line": self._health.trouble, "serial board": self._refused or self._muteness(now)}
        if self._strangers:
            texts["serial channels"] = self._advice()
        texts |= {f"command {name}": text for name, text in self._binding.command_faults.items()}
        return {key: text for key, text in texts.items() if text}

    def _muteness(self, now: float) -> str:
        """That a port was taken whose board says nothing."""
        link = self._link
        if link is None or link.error is not None or now - self._served < MUTE_AFTER:
            return ""
        if link.session.counts.frames + link.session.counts.lines > 0:
            return ""
        return (
            f"{link.where}: nothing that is understood has come for {MUTE_AFTER:.0f} s and more; look after"
            " the board, its wires and its speed (baud)"  # no seconds: each other text is told anew
        )

    def _counts(self, session: Session) -> dict[str, Value]:
        counts = {
            "damaged": session.counts.damaged,
            "gaps": session.counts.gaps,
            "dropped": session.counts.dropped + self.mailbox.dropped,
            "restarts": session.counts.restarts,
            "retries": session.counts.retries,
        }
        return {channel: counts[what] for channel, what in self._binding.counts.items()}

    def _take(self, events: Sequence[SessionEvent]) -> None:
        now = time.monotonic()
        self._heard = now
        packets: list[Packet] = []
        for event in events:
            match event:
                case Sampled():
                    self._pack(self._binding.channels(event.values), event.at, packets)
                case Happened():
                    self._pack(self._as_values(event), event.at, packets, is_event=True)
                    self._log(logging.INFO, f"event {event.name}: {event.text}", now)
                case Logged():
                    self._log(_LEVELS[event.level], event.text, now)
                case Dropped():
                    self._drop(event.channels, packets)
                case Gap() | Damaged():
                    self._hurt(event, now)
                case _:
                    self._other(event)
        if self._works and (any(_is_proof(event) for event in events) or self._is_first_word(events)):
            self._tell_connected()
            if not packets:
                packets.append(Packet(values={}, at=time.time()))
        self._look(now, packets)
        if packets:
            self.mailbox.put(packets)

    @property
    def _works(self) -> bool:
        """Whether a board was chosen, and is not lost."""
        return self._link is not None and self._link.error is None

    def _is_first_word(self, events: Sequence[SessionEvent]) -> bool:
        """Whether a sketch that did not say who it is shows by any line of its own that it is there.

        Frames have text between them, too: that is no proof, for such a board may be refused yet.
        """
        session = None if self._link is None else self._link.session
        return (
            not self._is_told
            and isinstance(session, BoardSession)
            and session.level == 0
            and any(isinstance(event, Logged | Sampled | Happened | Dropped) for event in events)
        )

    def _tell_connected(self) -> None:
        """Logs it once for a link: the port of a board that is refused is opened again and again."""
        if not self._is_told and self._link is not None:
            self._is_told = True
            _LOGGER.info("%s: connected to %s", self._device, self._link.where)

    def _as_values(self, event: Happened) -> dict[str, Value]:
        """An event as a value; only those that the profile has are counted, as a board may invent names."""
        channel = self._binding.event_channel(event.name)
        if channel is None or self._last.measures(channel):
            return {}
        self._last.happen()
        count = self._happened[event.name] = self._happened.get(event.name, 0) + 1
        return {channel: self._binding.happened(channel, event.name, event.text, count)}

    def _pack(
        self, values: Mapping[str, Value], at: float, packets: list[Packet], *, is_event: bool = False
    ) -> None:
        if not values:
            return
        for name in values:
            if name not in self._binding.names and len(self._strangers) < _MOST_STRANGERS:
                self._strangers.add(name)
        ours = {name: value for name, value in values.items() if name in self._binding.names}
        if not ours:
            return
        if not is_event:
            self._last.take(ours, time.monotonic())
        packets.append(Packet(values=ours, at=at, is_event=is_event))

    def _drop(self, names: Iterable[str], packets: list[Packet]) -> None:
        """Values that are no numbers; a channel that gives such alone fails."""
        channels = self._binding.channels(dict.fromkeys(names, 0.0))
        failing = self._last.drop(
            (name for name in channels if name in self._binding.names), time.monotonic()
        )
        if failing:
            packets.append(Packet(values=failing, at=time.time()))

    def _advice(self) -> str:
        names = ", ".join(sorted(self._strangers)[:_LISTED])
        awaited = ", ".join(self._binding.awaited[:_LISTED])
        return (
            f"the board gives {names}, which the profile does not have; add [readings.NAME] for each, or take"
            " them out of the sketch"
            + (
                f"; or is one of them meant by {awaited}, which it gives as events at most?"
                if awaited
                else ""
            )
        )

    def _hurt(self, event: SessionEvent, now: float) -> None:
        if isinstance(event, Damaged):
            self._log(logging.DEBUG, f"{event.count} damaged: {event.why}", now)

    def _look(self, now: float, packets: list[Packet]) -> None:
        """Judges the line, and gives its counts as values now and then."""
        for throttle, what in ((self._throttle, "its log and its events"), (self._greetings, "its hellos")):
            held = throttle.summary(now)
            if held:
                _LOGGER.warning("the board says too much: %d lines of %s were left out", held, what)
        if self._link is None:
            return
        self._judge(now)
        if self._binding.counts and now - self._counted >= _COUNTED_EVERY:
            self._counted = now
            packets.append(Packet(values=self._counts(self._link.session), at=time.time()))

    def _judge(self, now: float) -> None:
        if self._link is not None:
            self._health.look(self._link.session.counts, now)

    def _other(self, event: SessionEvent) -> None:
        match event:
            case Described():
                self._tell_greeting()
                self._binding.describe(event.description)
                self._strangers = set(self._binding.strangers[:_MOST_STRANGERS])
                if self._binding.awaited:
                    names = ", ".join(self._binding.awaited)
                    self._notice(logging.INFO, f"no channel of the board, so waited for as events: {names}")
            case Greeted():
                self._greeted(event)
            case Restarted():
                self._last.forget()
                self._notice(logging.WARNING, "the board restarted")
            case BoardChanged():
                self._last.forget()
                self._notice(logging.WARNING, "another board, or other firmware, answers now")
            case Refused():
                self._refused, self._greeting = event.text, ""
                self._fail(OSError(errno.EPROTO, event.text))
            case _:
                return

    def _greeted(self, board: Greeted) -> None:
        self._refused = ""
        if self._is_fresh_start(board):
            self._last.forget()
        self._speaker = board
        if board.version:
            self.said = board
        self._strangers.clear()  # other firmware may give others
        self._greeting = described(board)
        if _is_proof(board):
            self._tell_greeting()
        if self._board is not None and board.id and board.id != self._board:
            self._fail(
                OSError(errno.ENODEV, f"{described(board)} answers now; {self._board!r} is looked for again")
            )

    def _is_fresh_start(self, board: Greeted) -> bool:
        """Whether a hello that its session does not call a restart is one nevertheless.

        A sketch that gave values, and did not answer who it is, says so at its start only.
        """
        was = self._speaker
        if was is None or was.level != board.level:
            return was is not None
        is_late = time.monotonic() - self._served > _ASKED_WITHIN
        return board.level == 0 and not (was.id or was.name) and is_late

    def _tell_greeting(self) -> None:
        """Logs who the board is, once for each hello of a board that is not refused."""
        greeting, self._greeting = self._greeting, ""
        if greeting:
            self._notice(logging.INFO, greeting)

    def _fail(self, error: OSError) -> None:
        if self._link is not None:
            self._link.lost(error)

    def _log(self, level: int, text: str, now: float) -> None:
        if self._throttle.passes(now):
            _BOARD.log(level, "%s", text)

    def _notice(self, level: int, text: str) -> None:
        """Logs what a hello means, unless hellos come too fast."""
        if self._greetings.passes(time.monotonic()):
            _LOGGER.log(level, "%s", text)


def _is_proof(event: SessionEvent) -> bool:
    """Whether it shows that the board can be served; one that speaks frames may be refused after a hello."""
    return isinstance(event, Described) or (isinstance(event, Greeted) and event.level == 0)
