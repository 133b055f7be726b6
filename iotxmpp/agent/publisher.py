"""Publishes the outbox to the device's node of readings: live packs side by side, all else one by one."""

import asyncio
import logging

from iotxmpp.addresses import DeviceId, NodeAddress
from iotxmpp.agent.blame import MOST_REFUSALS, SURE_BREAKS, is_passing, is_to_blame
from iotxmpp.agent.line import Line, Parcel, Trial
from iotxmpp.agent.outbox.packs import Timeless
from iotxmpp.agent.presence import Problems, missing_node
from iotxmpp.agent.sending import Sender
from iotxmpp.agent.window import Flight, Window
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ForbiddenError,
    InvalidError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
)
from iotxmpp.link import Link, LinkState

AGAIN = 0.1
"""Seconds before a pack whose fate is unknown goes out again, once the link is up."""

ACK_PATIENCE = 60.0
"""Seconds without an ack after which what is not acknowledged is published again; then twice that."""

LONGEST_PATIENCE = 600.0
"""Seconds without an ack at most."""

BROKEN_WITHIN = 5.0
"""A pack that breaks the stream does so within so many seconds; later a link goes down for other reasons."""

_LOGGER = logging.getLogger(__name__)


class Publisher:
    """Sends item after item; while one is in flight, readings gather for the next.

    Readings that come while nothing is in flight go out at once. Else they wait until they make up a pack, or
    for `gather` seconds, and for a place in the window of live packs in flight. If one of several in flight
    is not accepted, all that were not go out again one by one, before anything is blamed; all but live packs
    always do.

    A pack whose fate is unknown (the link went down, no answer came) is published again. While the node is
    missing or closed to us, packs wait: an operator can put that right. A pack that breaks the link twice in
    a row, or that is refused twice, is cut in halves until the reading that is to blame is alone; that one
    becomes a dead letter, and the line goes on. After a break everything else goes first (see `Line`).

    Without a collector nobody acknowledges: then a reading is done with as soon as it is published.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        link: Link,
        *,
        node: NodeAddress,
        device: DeviceId,
        line: Line,
        collected: bool,
        problems: Problems,
        ready: asyncio.Event,
        backoff: Backoff,
    ) -> None:
        """Makes one.

        Args:
            link: Where to publish.
            node: The device's node of readings.
            device: The device's id.
            line: What to publish next.
            collected: Whether there is a collector, whose acks are waited for.
            problems: Where to say what does not work.
            ready: Set while items may go out: the link is up, and the self-description is published.
            backoff: When to try again what was not accepted.
        """
        self._link = link
        self._node = node
        self._device = device
        self._sender = Sender(link, node=node, device=device, line=line)
        self._line = line
        self._keeper = line.keeper
        self._collected = collected
        self._problems = problems
        self._ready = ready
        self._backoff = backoff
        self._gather = line.settings.gather
        self._window = Window(self._gather)
        self._flights: list[Flight] = []
        self._gathering_since: float | None = None
        self._others_waited = self._whole_waited = False
        self._had_session = False
        self._was_live = False
        self._accepted = 0
        self._works = True
        self._idle = asyncio.Event()
        self._patience = ACK_PATIENCE
        self._waiting_since: float | None = None

    async def run(self) -> None:
        """Publishes until it is cancelled."""
        if self._link.state.up and not self._had_session:  # a link that somebody else opened
            self._begin_session()
        try:
            while True:
                await self._step()
        finally:
            for flight in self._flights:
                flight.answer.cancel()
            await asyncio.gather(*(flight.answer for flight in self._flights), return_exceptions=True)

    async def _step(self) -> None:
        if not self._flights:
            await self._ready.wait()
        self._keeper.changed.clear()
        self._watch_acks()
        if self._flights:
            await self._follow()
            return
        parcel = await self._line.next(self._now(), live_first=not self._was_live)
        self._was_live = isinstance(parcel, Parcel) and parcel.source == "live"
        if isinstance(parcel, Timeless):
            await self._bury_timeless(parcel)
        elif parcel is not None:
            self._idle.clear()
            if parcel.source == "live" and self._line.calm:
                self._launch(parcel)
            else:
                await self._send(parcel)
        else:
            await self._rest()

    def state_changed(self, state: LinkState) -> None:
        """Takes note of the link's state; a handler for `Link.on_state`."""
        if state.up and state.resumed:
            self._works = False
            self._line.session_resumed(self._now())
        elif state.up:
            self._works = True  # readings go out only after its self-description was accepted
            self._begin_session()
        self._idle.clear()
        self._keeper.changed.set()

    def acknowledged(self, *, progress: bool, again: bool) -> None:
        """The collector has acknowledged, and perhaps asked for everything else again."""
        self._waiting_since = self._now()
        if progress:
            self._patience = ACK_PATIENCE
        if again:
            self._line.again()
        self._keeper.changed.set()

    async def drained(self) -> None:
        """Returns when everything is published; the backlog hurries."""
        self._line.hurry = True
        self._idle.clear()
        self._keeper.changed.set()
        await self._idle.wait()

    def _begin_session(self) -> None:
        self._had_session = True
        self._sender.begin_session()
        self._line.new_session(self._now())

    async def _rest(self) -> None:
        """Waits for something to publish."""
        if self._line.empty:
            self._idle.set()
            if not self._collected:  # nobody will acknowledge it
                self._keeper.let_go()
        await self._wait_until(self._line.wake_at(), self._republish_at())

    async def _wait_until(self, *times: float | None) -> None:
        """Waits for a change, or until the first of these times."""
        changed = self._keeper.changed
        at = min((at for at in times if at is not None), default=None)
        timer = None if at is None else asyncio.get_running_loop().call_at(at, changed.set)
        try:
            await changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    # Live packs, several in flight.

    def _launch(self, parcel: Parcel) -> None:
        """Sends a live pack without waiting for the answer."""
        answer = asyncio.create_task(self._sender.publish(parcel))
        answer.add_done_callback(lambda _: self._keeper.changed.set())
        flight = Flight(parcel=parcel, answer=answer, started=self._now(), worked=self._works)
        self._flights.append(flight)
        self._gathering_since = None

    async def _follow(self) -> None:
        """Goes on while live packs are in flight: takes answers, and sends the next when it is due."""
        if any(flight.answer.done() for flight in self._flights):
            await self._take_answers()
            return
        now, due = self._now(), None
        may_go = self._ready.is_set() and self._line.calm and not self._line.others_are_due(now)
        if may_go and self._line.waiting:
            self._gathering_since = self._gathering_since if self._gathering_since is not None else now
            due = now if self._line.is_full else self._gathering_since + self._gather
        if due is not None and due <= now:
            if await self._launch_what_is_due():
                return
            self._others_waited, due = True, None
            self._whole_waited = self._whole_waited or self._line.is_full
        await self._wait_until(due)

    async def _launch_what_is_due(self) -> bool:
        """Sends a pack, and more if whole ones wait, as far as there is room; whether any was sent."""
        sent = False
        while len(self._flights) < self._window.size and not (sent and not self._line.is_full):
            parcel = await self._line.next_live()
            if parcel is None:
                break
            self._launch(parcel)
            sent = True
        return sent

    async def _take_answers(self) -> None:
        """Takes what was accepted out of the window; where one was not, all that were not land."""
        alone = len(self._flights) == 1
        if any(_failure(flight) is not None for flight in self._flights if flight.answer.done()):
            await asyncio.wait({flight.answer for flight in self._flights})
        flights, self._flights = self._flights, []
        waited, whole = self._others_waited, self._whole_waited
        self._others_waited = self._whole_waited = False
        failed: list[tuple[Flight, Exception]] = []
        for flight in flights:
            if not flight.answer.done():
                self._flights.append(flight)
            elif (error := _failure(flight)) is not None:
                failed.append((flight, error))
            else:
                took = self._now() - flight.started
                self._window.accepted(took, others_waited=waited, whole=whole)
                self._delivered(flight.parcel, took)
        if failed:
            self._window.trouble()
            self._gathering_since = None
            await self._land(failed, alone=alone)

    async def _land(self, failed: list[tuple[Flight, Exception]], *, alone: bool) -> None:
        """These were not accepted: only one that was alone in flight can be to blame for that."""
        flight, error = failed[0]
        if alone:
            await self._failed(flight.parcel, error, flight.started, worked=flight.worked)
            return
        _LOGGER.info("%d packs in flight: %s; they go out again one by one", len(failed), error)
        for each, _ in failed:
            trial = self._trial(each.parcel)
            trial.not_before = self._now() + AGAIN
            self._line.try_again(each.parcel, trial)
        await asyncio.sleep(AGAIN)

    # All else, one by one.

    async def _send(self, parcel: Parcel) -> None:
        started, worked = self._now(), self._works
        try:
            await self._sender.publish(parcel)
        except IotxmppError as error:
            await self._failed(parcel, error, started, worked=worked)
        else:
            self._delivered(parcel, self._now() - started)

    async def _failed(self, parcel: Parcel, error: Exception, started: float, *, worked: bool) -> None:
        """It was not accepted, or nobody knows, while nothing else was in flight."""
        self._sender.refused(parcel, error)
        if isinstance(error, LinkDownError | NoAnswerError):
            soon = isinstance(error, LinkDownError) and self._now() - started < BROKEN_WITHIN
            await self._interrupted(parcel, error, broken=soon, worked=worked)
        elif isinstance(error, ForbiddenError | NotFoundError):
            self._problems.report("publish", missing_node(self._node, self._device, error))
            if parcel.source == "live":
                self._line.try_again(parcel, self._trial(parcel))
            await asyncio.sleep(self._backoff.next_delay())
        elif isinstance(error, StanzaError | InvalidError):
            await self._refused(parcel, error)
        else:
            raise error

    def _delivered(self, parcel: Parcel, took: float) -> None:
        now = self._now()
        self._accepted += 1
        self._works = True
        self._line.published(parcel, took, now)
        self._backoff.reset()
        if parcel.pack is not None:
            self._problems.clear("publish")
        if self._waiting_since is None:
            self._waiting_since = now

    async def _interrupted(self, parcel: Parcel, error: Exception, *, broken: bool, worked: bool) -> None:
        """The link went down, or no answer came: it may have been accepted.

        Args:
            parcel: What was sent.
            error: What came instead of the answer.
            broken: The link went down soon after it was sent.
            worked: Something else had been accepted over that link before.
        """
        trial = self._trial(parcel)
        trial.broken = trial.broken + 1 if broken else 0
        if parcel.pack is None:
            _LOGGER.info("gap record: %s; it goes out again", error)
        elif broken and len(parcel.pack.readings) > 1 and (trial.suspect or trial.broken >= SURE_BREAKS):
            self._line.split(parcel)
        elif broken and is_to_blame(trial, worked=worked):
            await self._give_up(parcel, f"each time it was sent: {error}")
        else:
            _LOGGER.info("pack from %s on: %s; it goes out again", parcel.pack.first_seq, error)
            trial.not_before = self._now() + AGAIN
            self._line.try_again(parcel, trial)
        await asyncio.sleep(AGAIN)

    async def _refused(self, parcel: Parcel, error: StanzaError | InvalidError) -> None:
        if parcel.pack is None:
            self._problems.report("publish", f"readings: a gap record was not accepted: {error}")
            await asyncio.sleep(self._backoff.next_delay())
            return
        trial = self._trial(parcel)
        trial.refused += 1
        trial.accepted = self._accepted if trial.accepted is None else trial.accepted
        single = len(parcel.pack.readings) == 1
        passing = is_passing(error)
        hopeless = isinstance(error, InvalidError) or trial.refused >= MOST_REFUSALS
        if hopeless and not single:
            self._line.split(parcel)
        elif hopeless and (not passing or self._accepted > trial.accepted):
            await self._give_up(parcel, f"not accepted: {error}")
        else:
            if passing and hopeless:
                self._problems.report("publish", f"readings: not accepted so far: {error}")
            trial.not_before = self._now() + self._backoff.next_delay()
            self._line.try_again(parcel, trial)

    async def _give_up(self, parcel: Parcel, reason: str) -> None:
        if parcel.pack is not None:
            await self._line.bury(parcel.pack.first, parcel.pack.last, reason)
            self._problems.report(
                "publish",
                f"readings: {len(parcel.pack.readings)} given up, {reason}; see: iotxmpp outbox list",
            )

    async def _bury_timeless(self, found: Timeless) -> None:
        await self._line.bury(
            found.first,
            found.last,
            "its time cannot be told: the clock was not set before the system was started anew",
        )

    def _trial(self, parcel: Parcel) -> Trial:
        if parcel.trial is not None:
            return parcel.trial
        first, last = (parcel.pack.first, parcel.pack.last) if parcel.pack is not None else (0, 0)
        return Trial(first=first, last=last, live=parcel.source == "live")

    def _republish_at(self) -> float | None:
        if not self._collected or self._waiting_since is None or not self._keeper.held:
            return None
        return self._waiting_since + self._patience

    def _watch_acks(self) -> None:
        if self._waiting_since is None or self._now() < self._waiting_since + self._patience:
            return
        if self._republish_at() is not None:
            _LOGGER.info("no ack for %.0f s; what is not acknowledged goes out again", self._patience)
            self._patience = min(self._patience * 2, LONGEST_PATIENCE)
            self._waiting_since = self._now()
            self._line.again()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _failure(flight: Flight) -> Exception | None:
    """Why it was not accepted; None if it was."""
    error = flight.answer.exception()
    if error is not None and not isinstance(error, IotxmppError):
        raise error
    return error
