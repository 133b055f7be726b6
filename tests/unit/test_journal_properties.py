"""Whatever is asked of a journal, in whatever order: a call runs at most once, and its end is told for ever.

One machine for both journals. A model of what was asked says what each answer must be.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from iotxmpp.commands import Outcome
from iotxmpp.serving import calltable
from iotxmpp.serving.filejournal import SqliteJournal
from iotxmpp.serving.journal import KEEP, KEEP_EXPIRED, Journal, MemoryJournal

DAY = 86400.0
START = 1.8e9
FINGERPRINTS = ("f", "g")

T = TypeVar("T")

callers = st.sampled_from(["anna@example.org", "bert@example.org"])
ids = st.sampled_from(["1", "2", "\N{SNOWMAN}'; --"])
marks = st.sampled_from(FINGERPRINTS)
expiries = st.one_of(st.none(), st.floats(0.0, 20 * DAY).map(lambda seconds: START + seconds))
outcomes = st.one_of(
    st.builds(Outcome, kind=st.just("done"), result_json=st.sampled_from(["7", "null", '"\N{SNOWMAN}"'])),
    st.builds(Outcome, kind=st.just("failed"), text=st.text(max_size=20)),
    st.builds(Outcome, kind=st.just("expired"), text=st.just("late")),
    st.builds(
        Outcome, kind=st.just("rejected"), text=st.just("no"), condition=st.just("bad-request/bad-payload")
    ),
)


@dataclass(kw_only=True)
class Known:
    """What a call is known for: `outcome` is None from its beginning to its end."""

    mark: str
    expires: float | None
    outcome: Outcome | None = None
    ended: float | None = None

    @property
    def kept_until(self) -> float:
        """The time from which it may be forgotten."""
        return max((self.ended or 0.0) + KEEP, (self.expires or 0.0) + KEEP_EXPIRED)


class JournalMachine(RuleBasedStateMachine):
    """Callers who begin, repeat, change and cancel calls, of a device that crashes."""

    kind: ClassVar[str] = "file"
    begun = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.now: float | None = START
        self.folder = Path(tempfile.mkdtemp(prefix="iotxmpp-journal-"))
        self.loop = asyncio.new_event_loop()
        self.known: dict[tuple[str, str], Known] = {}
        self.ran: dict[tuple[str, str], int] = {}
        self.fillers = 0
        self.journal = self.made()

    def made(self) -> Journal:
        """A new journal, open; of the same file where it has one."""
        clock: Callable[[], float | None] = lambda: self.now  # noqa: E731  # it reads as what it is
        journal: Journal = (
            MemoryJournal(now=clock)
            if self.kind == "memory"
            else SqliteJournal(self.folder / "calls.db", now=clock)
        )
        self.do(journal.open())
        return journal

    def do(self, work: Awaitable[T]) -> T:
        """Waits for it."""

        async def wait() -> T:
            return await work

        return self.loop.run_until_complete(wait())

    def teardown(self) -> None:
        self.do(self.journal.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def check(self, found: Outcome | None, known: Known | None, mark: str) -> None:
        """Compares an answer with what the model knows."""
        if known is None:
            assert found is None
            return
        assert found is not None
        if mark and known.mark and mark != known.mark:
            assert (found.kind, found.condition) == ("rejected", "conflict")
        elif known.outcome is None:
            assert found.kind == "unknown"
        elif known.outcome.kind in {"unknown", "cancelled"}:
            assert found.kind == known.outcome.kind
        else:
            assert found == known.outcome

    @initialize(target=begun)
    def nothing(self) -> object:
        return multiple()

    @rule(target=begun, caller=callers, id_=ids, mark=marks, expires=expiries)
    def begin(self, caller: str, id_: str, mark: str, expires: float | None) -> object:
        """A call comes: for the first time, again, or with other arguments under the same id."""
        key = caller, id_
        self.purge()
        found = self.do(self.journal.begin(caller, id_, "water", mark, expires))
        self.check(found, self.known.get(key), mark)
        if found is not None:
            return multiple()
        self.known[key] = Known(mark=mark, expires=expires)
        self.ran[key] = self.ran.get(key, 0) + 1
        return key

    @rule(key=begun)
    def repeat(self, key: tuple[str, str]) -> None:
        """Just the same call comes again."""
        known = self.known.get(key)
        if known is not None:
            again = self.do(self.journal.begin(*key, "water", known.mark or "f", known.expires))
            self.check(again, known, known.mark)

    @rule(key=begun, outcome=outcomes)
    def finish(self, key: tuple[str, str], outcome: Outcome) -> None:
        """A call ends whose command runs."""
        known = self.known.get(key)
        if known is not None and known.outcome is None:
            self.do(self.journal.finish(*key, outcome))
            known.outcome, known.ended = outcome, self.now

    @rule(caller=callers, id_=ids)
    def cancel(self, caller: str, id_: str) -> None:
        """A call is cancelled: before it comes, while it runs, or later."""
        key = caller, id_
        self.purge()
        found = self.do(self.journal.cancel(caller, id_, "water"))
        if key in self.known:
            self.check(found, self.known[key], "")
        else:
            assert found.kind == "cancelled"
            self.known[key] = Known(mark="", expires=None, outcome=found, ended=self.now)

    @rule()
    def crash(self) -> None:
        """The process ends in the midst of all; one on disk goes on, one in memory begins anew."""
        before, self.folder = self.folder, Path(tempfile.mkdtemp(prefix="iotxmpp-journal-"))
        shutil.copytree(before, self.folder, dirs_exist_ok=True)  # what a killed process leaves
        self.do(self.journal.close())
        shutil.rmtree(before)
        self.journal = self.made()
        if self.kind == "memory":
            self.known.clear()
            self.ran.clear()  # another life, in which the promise is made anew
            return
        for known in self.known.values():
            if known.outcome is None:
                known.outcome = Outcome(kind="unknown")
        self.purge()

    @rule(days=st.floats(0.1, 9.0))
    def time_passes(self, days: float) -> None:
        """Days go by, and so many calls come that the journal tidies up."""
        assert self.now is not None
        self.now += days * DAY
        for _ in range(calltable.TIDY_EVERY):
            self.fillers += 1
            call = ("fill@example.org", str(self.fillers))
            assert self.do(self.journal.begin(*call, "water", "f", None)) is None
            self.do(self.journal.finish(*call, Outcome(kind="done", result_json="1")))
        self.purge()

    def purge(self) -> None:
        """The model forgets what may be forgotten, and is; of what runs, and has no end, nothing ever."""
        for key, known in list(self.known.items()):
            if known.outcome is None:
                continue
            if known.ended is None:  # it ended by a crash: its time counts from when it was found
                known.ended = self.now
            assert self.now is not None
            if known.kept_until < self.now and self.do(self.journal.find(*key, "")) is None:
                del self.known[key]
                self.ran.pop(key, None)

    @invariant()
    def each_ran_at_most_once(self) -> None:
        assert all(times == 1 for times in self.ran.values())

    @invariant()
    def each_is_found_as_it_ended(self) -> None:
        self.purge()
        for key, known in self.known.items():
            for mark in ("", *FINGERPRINTS):
                self.check(self.do(self.journal.find(*key, mark)), known, mark)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_call_runs_at_most_once_whatever_happens(kind: str) -> None:
    machine = type(f"{kind.title()}JournalMachine", (JournalMachine,), {"kind": kind})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )


class Forgetful(MemoryJournal):
    """A journal that does not remember what began."""

    async def begin(
        self,
        caller: str,
        id: str,  # noqa: A002  # as in the journal
        name: str,
        fingerprint: str,
        expires: float | None,
    ) -> Outcome | None:
        await super().begin(caller, id, name, fingerprint, expires)
        return None


class ForgetfulMachine(JournalMachine):
    kind = "memory"

    def made(self) -> Journal:
        return Forgetful(now=lambda: self.now)


def test_the_machine_notices_a_journal_that_forgets() -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            ForgetfulMachine, settings=settings(max_examples=60, deadline=None, database=None)
        )
