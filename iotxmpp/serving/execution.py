"""Carries out calls: each at most once where the command says so, in order, in time, and written down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from iotxmpp import crashpoints
from iotxmpp.commands import Outcome, progress_element
from iotxmpp.eager import EagerTask
from iotxmpp.errors import IotxmppError, StoreError
from iotxmpp.link import Message
from iotxmpp.serving.auditentry import Audit
from iotxmpp.serving.call import Call
from iotxmpp.serving.command import Caller, Command, Given
from iotxmpp.serving.deadline import Clocks, Deadline
from iotxmpp.serving.ended import Ended
from iotxmpp.serving.journal import CONFLICT, UNKNOWN, Journal
from iotxmpp.serving.kept import Kept
from iotxmpp.serving.lane import Lane
from iotxmpp.serving.outcomes import BUSY, CANCELLED, EXPIRED, STOPPING
from iotxmpp.serving.progress import Reporter
from iotxmpp.serving.records import Problems, Records, nobody
from iotxmpp.serving.running import run

AT_ONCE: Final = 8
"""Commands that run side by side; the same command runs one at a time."""

MOST_WAITING: Final = 64
"""Calls that wait for one of those to end; more are refused."""

PATIENCE: Final = 2.0
"""Seconds that running commands get to end, when serving ends."""

_MOST_TOLD = 8

_LOGGER = logging.getLogger(__name__)


class Executor:
    """Carries out calls, whatever door they came through.

    One that is repeated while it runs gets the same outcome as the first; one that is repeated later, where
    the command must not run twice, the outcome from the journal. Calls are told apart by the caller's bare
    JID and the id.

    Attributes:
        records: Where it is written down who did what.
        away: Gives the seconds that what is read now may have waited while this device was stopped.
        cut_off: As `Journal.cut_off`.
    """

    def __init__(  # noqa: PLR0913  # each is another part of whoever serves
        self,
        journal: Journal | None,
        *,
        device: str = "",
        audit: Audit | None = None,
        records: Records | None = None,
        send: Callable[[str, Message], Awaitable[None]] | None = None,
        problems: Problems | None = None,
        clocks: Clocks | None = None,
        known: Callable[[str], str] = nobody,
        away: Callable[[], float] = lambda: 0.0,
        at_once: int = AT_ONCE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Makes one.

        Args:
            journal: Remembers calls of commands that must not run twice; opened and closed here. None refuses
                those commands.
            device: Whose commands they are, for the audit.
            audit: Where to write down who did what; nothing runs that cannot be written down.
            records: Who writes it down; made of what is said here unless given.
            send: `Link.send`, to tell callers how far their commands are.
            problems: Where to say what does not work.
            clocks: The clocks that calls expire by.
            known: By what a JID has a role here, as `Access.account_or_domain` tells.
            away: Gives the seconds that what is read now may have waited, as `Stalls.away`.
            at_once: Commands that run side by side.
            most_waiting: Calls that wait for one of those to end.
        """
        self.records = records or Records(device=device, audit=audit, problems=problems, known=known)
        self._kept = Kept(journal, self.records)
        self.cut_off = self._kept.cut_off
        self.away = away
        self._send = send
        self._clocks = clocks or Clocks()
        self._calls: dict[tuple[str, str], Call] = {}
        self._lanes: dict[str, Lane] = {}
        self._slots = Lane(at_once)
        self._most_waiting = most_waiting
        self._ended = Ended()
        self._closing = False

    async def open(self) -> None:
        """Opens the journal; where that fails, the problem is told, and each call tries again."""
        await self._kept.open()

    async def close(self) -> None:
        """Refuses what waits, lets what runs end if that goes quickly, and closes the journal."""
        self._closing = True
        tasks = [call.task for call in self._calls.values()]
        for call in list(self._calls.values()):
            self._withdraw(call, STOPPING)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self.records.close()
        await self._kept.close()

    async def execute(  # noqa: PLR0913  # what a call can say
        self,
        caller: Caller,
        command: Command,
        *,
        id: str,  # noqa: A002  # the wire's word
        arguments: Given,
        expires: float | None = None,
        within: float | None = None,
    ) -> Outcome:
        """What became of a call.

        Whoever waits for it may stop waiting: the command goes on.

        Args:
            caller: Who calls; whether they may was decided before.
            command: What is called.
            id: The call's id; the same one again from the same account is the same call.
            arguments: As JSON text or plain values, unchecked.
            expires: It must not start after this time, in seconds since 1970 (UTC).
            within: Seconds that were left to start it when it was sent.

        Returns:
            How it ended. `rejected` has the condition `bad-request/bad-payload` for wrong arguments,
            `conflict` for an id that stands for another call, and `resource-constraint` while this device is
            busy, stops, or cannot write down what must not be forgotten; the last may be tried again.
        """
        if self._closing:
            return STOPPING
        key = (caller.bare, id)
        call = self._calls.get(key)
        is_new = call is None
        if call is None:
            end = Deadline(self._clocks, expires=expires, within=within)
            call = Call(caller=caller, command=command, id=id, given=arguments, deadline=end, expires=expires)
        elif not call.is_same(command, arguments):
            self.records.note(
                caller,
                command=command.spec.name,
                id=id,
                result="rejected",
                text=CONFLICT.text,
                given=arguments,
            )
            return CONFLICT
        if caller.door in {"machine", "controller"} and len(call.told) < _MOST_TOLD:
            call.told.add(caller.jid)
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        call.waiters.append(waiter)
        if is_new:
            self._take(call)
        return await waiter

    async def cancel(self, caller: Caller, command: Command, *, id: str) -> Outcome | None:  # noqa: A002  # as above
        """Cancels a call that did not start yet, even one that did not come yet.

        Returns:
            `cancelled`: it will never run. Else how it ended before; of an idempotent command `rejected`, as
            it ended or never came: then it will not run, as long as its id is remembered. `rejected` with the
            condition `conflict`: the id is that of another command's call. None: too late, it runs.
        """
        call = self._calls.get((caller.bare, id))
        name = command.spec.name
        if name != (call.name if call is not None else name) or self._ended.stands_for_another(
            caller.bare, id, name
        ):
            self.records.note(caller, command=name, id=id, result="rejected", text=CONFLICT.text)
            return CONFLICT
        if call is not None and call.started:
            return None
        if command.spec.idempotent:
            if call is None:
                return self._ended.cancel(caller.bare, id, name)
            self._ended.note(call, cancelled=True)
            outcome = CANCELLED
        else:
            try:  # it may wait here for the second time, and have run before
                outcome = await self._kept.journal.cancel(caller.bare, id, name)
            except StoreError as error:
                return self._kept.refusal(error)
        call = self._calls.get((caller.bare, id))
        if outcome.kind == "cancelled" and call is not None and not call.started:
            self._withdraw(call, CANCELLED)
        elif outcome.kind == "cancelled":
            self.records.note(caller, command=name, id=id, result="cancelled", text=outcome.text)
        return outcome

    def running(self, caller: Caller, id: str) -> Call | None:  # noqa: A002  # as above
        """A call that did not end yet."""
        return self._calls.get((caller.bare, id))

    async def find(self, caller: Caller, command: Command, *, id: str) -> Outcome | None:  # noqa: A002  # as above
        """How a call ended that the journal remembers, whatever its arguments were."""
        if command.spec.idempotent:
            return None
        try:
            return await self._kept.find(caller.bare, id, "")
        except StoreError as error:
            self._kept.refusal(error)
            return None

    def _take(self, call: Call) -> None:
        """Carries a call out, at once as far as it needs not wait."""
        key = (call.caller.bare, call.id)
        call.reporter = Reporter(partial(self._tell, call) if self._send is not None else None)
        self._calls[key] = call
        eager = EagerTask(self._carry_out(call), name=f"command {call.name}")
        call.task = eager.task
        call.task.add_done_callback(lambda _task: self._over(call, call.withdrawn or UNKNOWN))
        eager.begin()

    async def _carry_out(self, call: Call) -> Outcome:
        """Carries out a call, and always says how it ended."""
        try:
            outcome = await self._outcome(call)
        except asyncio.CancelledError:
            # A command that was started and is cut off at the end of serving stays begun in the journal.
            outcome = call.withdrawn or UNKNOWN
            self._note_end(call, outcome)
        self._over(call, outcome)
        return outcome

    def _over(self, call: Call, outcome: Outcome) -> None:
        """Answers who waits; a second time does nothing. A task can be cancelled before its first step."""
        key = (call.caller.bare, call.id)
        if self._calls.get(key) is not call:
            return
        del self._calls[key]
        call.reporter.end()
        for waiter in call.waiters:
            if not waiter.done():  # else it waits no more
                waiter.set_result(outcome)

    async def _outcome(self, call: Call) -> Outcome:
        ended = self._ended.refusal(call)
        if ended is not None:
            self._note_end(call, ended)
            return ended
        lane = self._lanes.get(call.name)
        if lane is None:
            lane = self._lanes[call.name] = Lane()
        refusal = self._refusal(call, lane)
        turn = lane.join() if refusal is None else None
        try:
            if turn is None or not turn.done() or self._slots.full:
                known = await self._known(call)
                if known is not None:
                    return self._kept.answered(call, known)
            if turn is not None:
                return await self._in_turn(call, turn)
        finally:
            if turn is not None:
                lane.leave(turn)
        if refusal is EXPIRED:
            return await self._expired(call)
        outcome = refusal or BUSY
        self._note_end(call, outcome)
        return outcome

    async def _expired(self, call: Call) -> Outcome:
        """How a call ends that may not start any more: it expired, unless it was started before."""
        outcome = EXPIRED
        if call.journaled:
            try:
                known = await self._kept.journal.find(call.caller.bare, call.id, call.mark)
            except StoreError as error:  # nobody can tell whether it was
                outcome = self._kept.refusal(error)
            else:
                if known is not None:
                    return self._kept.answered(call, known)
        self._note_end(call, outcome)
        return outcome

    def _refusal(self, call: Call, lane: Lane) -> Outcome | None:
        """How a call is refused before it waits for its turn; None where it may wait."""
        wrong = call.check()
        if wrong is not None:
            return wrong
        if call.deadline.passed:
            return EXPIRED
        if lane.full or self._slots.full:
            if sum(each.waits for each in self._calls.values()) >= self._most_waiting:
                return BUSY
            call.waits = True
        return None

    async def _known(self, call: Call) -> Outcome | None:
        if not call.journaled:
            return None
        try:
            return await self._kept.find(call.caller.bare, call.id, call.mark)
        except StoreError:  # it is refused when its turn comes
            return None

    async def _in_turn(self, call: Call, turn: "asyncio.Future[None]") -> Outcome:
        slot = None
        try:
            waits = not turn.done() or self._slots.full
            if not waits:
                slot = self._slots.join()
            else:
                async with asyncio.timeout(call.deadline.left()):
                    await turn
                    slot = self._slots.join()
                    await slot
            if not waits or not call.deadline.passed:
                call.started, call.waits = True, False
                return await self._act(call)
        except TimeoutError:
            pass
        finally:
            if slot is not None:
                self._slots.leave(slot)
        return await self._expired(call)

    async def _act(self, call: Call) -> Outcome:
        if call.journaled:
            try:
                known = await self._kept.journal.begin(
                    call.caller.bare, call.id, call.name, call.mark, call.expires
                )
            except StoreError as error:
                outcome = self._kept.refusal(error)
                self._note_end(call, outcome)
                return outcome
            self.records.clear("journal")
            if known is not None:
                return self._kept.answered(call, known)
            crashpoints.at("journal.begun")
        if call.journaled and call.deadline.passed:  # a slow disk may have taken long
            outcome = EXPIRED
            self._note_end(call, outcome)
        else:
            try:
                self.records.write(
                    call.caller, command=call.name, id=call.id, result="started", given=call.given
                )
            except StoreError as error:
                if call.journaled:  # nothing acted: it may come again
                    await self._kept.noted(self._kept.journal.forget(call.caller.bare, call.id))
                return Outcome(kind="rejected", condition="resource-constraint", text=str(error))
            outcome = await self._run(call)
        if call.journaled:
            await self._kept.noted(self._kept.journal.finish(call.caller.bare, call.id, outcome))
            crashpoints.at("journal.finished")
        return outcome

    async def _run(self, call: Call) -> Outcome:
        self._ended.note(call)
        _LOGGER.info("%s calls %s (%s)", call.caller.jid, call.name, call.id)
        call.reporter.enter()
        outcome = await run(call.command, call.arguments, f"{call.name} ({call.id})")
        crashpoints.at("command.ran")
        self.records.soon(partial(self._note_end, call, outcome))
        return outcome

    def _withdraw(self, call: Call, outcome: Outcome) -> None:
        if not call.started:
            call.withdrawn = outcome
            call.task.cancel()

    async def _tell(self, call: Call, fraction: float | None, text: str) -> None:
        if self._send is None:
            return
        element = progress_element(call.id, fraction, text)
        for jid in tuple(call.told):
            try:
                await self._send(jid, Message(kind="headline", extensions=(element,)))
            except IotxmppError as error:
                _LOGGER.debug("progress of %s was not sent to %s: %s", call.name, jid, error)

    def _note_end(self, call: Call, outcome: Outcome) -> None:
        self.records.note(
            call.caller,
            command=call.name,
            id=call.id,
            result=outcome.kind,
            text=outcome.text,
            given=None if call.started else call.given,
        )
