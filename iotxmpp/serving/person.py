"""The person's door: a command as a form, page by page, in an ordinary client (XEP-0050, XEP-0004)."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

from iotxmpp.about import CommandAbout
from iotxmpp.arguments import LONGEST_JSON, json_of
from iotxmpp.commands import (
    COMMAND_TAG,
    COMMANDS_NAMESPACE,
    CommandCall,
    Outcome,
    bad_session_error,
    cancelled_element,
    too_late_error,
)
from iotxmpp.dataforms import FORM_TAG, REPORTED_TAG, form_element, read_submitted, result_form
from iotxmpp.errors import ArgumentsError, stanza_error
from iotxmpp.payloads import JSON_TAG
from iotxmpp.serving.chattext import readable
from iotxmpp.serving.command import Caller, Command
from iotxmpp.serving.execution import Executor
from iotxmpp.serving.sessions import Session, Sessions
from iotxmpp.serving.stalls import LONGEST, sorry
from iotxmpp.xmltext import clean_text

WITHIN: Final = 60.0
"""Seconds within which a command must start that was submitted."""

PATIENCE: Final = 20.0
"""Seconds after which a person is told that the command still runs."""

_NOTE_TAG = f"{{{COMMANDS_NAMESPACE}}}note"
_BAD_ACTION = f"{{{COMMANDS_NAMESPACE}}}bad-action"
_EXPIRED = f"{{{COMMANDS_NAMESPACE}}}session-expired"
_WRONG = "bad-request/bad-payload"
_LONGEST_NOTE = 2000


class PersonDoor:
    """Shows forms, takes what was entered, and shows results."""

    def __init__(
        self, executor: Executor, *, sessions: Sessions | None = None, patience: float = PATIENCE
    ) -> None:
        """Makes it.

        Args:
            executor: Carries out what was submitted.
            sessions: What was begun.
            patience: Seconds after which a person is told that the command still runs.
        """
        self._executor = executor
        self._sessions = sessions if sessions is not None else Sessions()
        self._patience = patience

    async def answer(self, caller: Caller, command: Command, call: CommandCall) -> Element:
        """The answer to one request.

        Raises:
            StanzaError: Nothing was started, and why.
        """
        if not call.session:
            return await self._begin(caller, command, call)
        session = self._sessions.find(caller.jid, call.session, call.name)
        if session is None:
            return await self._forgotten(caller, command, call)
        return await _Visit(self, session, caller, command, call).answer()

    async def _begin(self, caller: Caller, command: Command, call: CommandCall) -> Element:
        if call.action not in {"execute", "complete"}:
            raise bad_session_error(call)
        session = self._sessions.start(caller.jid, secrets.token_hex(8), call.name)
        visit = _Visit(self, session, caller, command, call)
        if call.form is not None or not visit.pages:
            return await visit.submit()
        return visit.page()

    async def _forgotten(self, caller: Caller, command: Command, call: CommandCall) -> Element:
        """A form that is submitted again after its session, or this process, ended."""
        outcome = await self._executor.find(caller, command, id=call.session)
        if outcome is None or call.action == "cancel":
            raise bad_session_error(call)
        return told(outcome, command.spec.about(), call, call.session)

    async def wait(self, call: asyncio.Task[Outcome]) -> Outcome | None:
        """How a command ended; None if it runs still, after some patience."""
        await asyncio.wait({call}, timeout=self._patience)
        return call.result() if call.done() else None

    def end(self, session: Session) -> None:
        """Forgets a session."""
        self._sessions.end(session)

    @property
    def executor(self) -> Executor:
        """What carries out what was submitted."""
        return self._executor


class _Visit:
    """One request of a session."""

    def __init__(
        self, door: PersonDoor, session: Session, caller: Caller, command: Command, call: CommandCall
    ) -> None:
        self._door = door
        self._session = session
        self._caller = caller
        self._command = command
        self._call = call
        self._about = command.spec.about()
        self.pages = pages_of(self._about)

    async def answer(self) -> Element:
        session, call = self._session, self._call
        if call.action == "cancel":
            return await self._cancel()
        if session.call is not None:
            return await self._again(session.call)
        last = session.page + 1 >= len(self.pages)
        action = ("complete" if last else "next") if call.action == "execute" else call.action
        if action not in self._actions():
            raise stanza_error(
                "bad-request", f"this page takes {', '.join(self._actions())}, not {action}", _BAD_ACTION
            )
        if action == "prev":
            with contextlib.suppress(ArgumentsError):
                session.values = self._with_page(self.pages[session.page])
            session.page -= 1
            return self.page()
        if action == "complete":
            return await self.submit()
        try:
            session.values = self._with_page(self.pages[session.page])
        except ArgumentsError as error:
            return self.page(str(error))
        session.page += 1
        return self.page()

    async def submit(self) -> Element:
        """Carries out what was entered, or shows the form again with what is wrong."""
        session = self._session
        if not self._call.session:  # all at once, without having asked for the form
            names = tuple(name for page in self.pages for name in page)
        else:
            names = self.pages[session.page]
        try:
            session.values = self._with_page(names)
            self._command.spec.parse(session.values)
        except ArgumentsError as error:
            return self.page(str(error))
        waited = self._door.executor.away()
        if waited >= LONGEST:
            if not self.pages:
                raise stanza_error("not-acceptable", sorry(waited), _EXPIRED)
            return self.page(sorry(waited))
        session.call = asyncio.create_task(
            self._door.executor.execute(
                self._caller,
                self._command,
                id=session.call_id,
                arguments=dict(session.values),
                within=WITHIN - waited,
            ),
            name=f"form {session.command}",
        )
        return await self._ended(session.call)

    def page(self, faults: str = "") -> Element:
        """The page that is to be filled in."""
        session = self._session
        names = self.pages[session.page]
        actions = self._actions()
        element = self._executing(actions, actions[-1])
        if faults:
            _note(element, "error", faults)
        element.append(
            form_element(
                self._about,
                session.command,
                only=names,
                given={name: value for name, value in session.values.items() if name in names},
                faults=faults,
                entered=_short(self._call.form) if faults else None,
            )
        )
        return element

    def _actions(self) -> list[str]:
        forward = "complete" if self._session.page + 1 >= len(self.pages) else "next"
        return ["prev", forward] if self._session.page else [forward]

    def _with_page(self, names: Sequence[str]) -> dict[str, Any]:
        """The values with those of a page as it was submitted."""
        if not names:
            return {}
        form = self._call.form
        if form is None:
            form = Element(FORM_TAG, {"type": "submit"})
        given = read_submitted(form, self._about, self._session.command, only=names)
        kept = {name: value for name, value in self._session.values.items() if name not in names}
        values = {**kept, **given}
        json_of(values, f"command {self._session.command}: arguments")  # too long ones are kept nowhere
        return values

    async def _again(self, submitted: asyncio.Task[Outcome]) -> Element:
        """A request after the last page: has it ended, or the same form once more."""
        if self._call.form is not None and self.pages:
            try:
                same = self._with_page(self.pages[-1]) == self._session.values
            except ArgumentsError:
                same = False
            if not same:
                raise stanza_error(
                    "conflict", "this form was submitted already, with other values; open the command again"
                )
        return await self._ended(submitted)

    async def _ended(self, submitted: asyncio.Task[Outcome]) -> Element:
        session = self._session
        outcome = await self._door.wait(submitted)
        if outcome is None:
            return self._still_running()
        if outcome.kind in {"rejected", "expired"}:  # nothing ran: the form can be submitted once more
            if session.call is submitted:  # else who submitted the same form twice was told already
                session.call = None
                session.attempt += 1
            if outcome.condition == _WRONG and self.pages:
                return self.page(outcome.text)
        return told(outcome, self._about, self._call, session.id)

    def _still_running(self) -> Element:
        running = self._door.executor.running(self._caller, self._session.call_id)
        text = "still running"
        if running is not None:
            if not running.started:
                text = "waiting for other commands"
            if running.reporter.fraction is not None:
                text += f", {running.reporter.fraction:.0%}"
            if running.reporter.text:
                text += f": {running.reporter.text}"
        element = self._executing(["next"], "next")
        _note(element, "info", text)
        return element

    async def _cancel(self) -> Element:
        session = self._session
        if session.call is not None:
            outcome = (
                await self._door.executor.cancel(self._caller, self._command, id=session.call_id)
                if session.runs
                else None
            )
            if outcome is None or outcome.kind != "cancelled":
                raise too_late_error(self._call)
        self._door.end(session)
        return cancelled_element(replace(self._call, id=session.id))

    def _executing(self, actions: Sequence[str], default: str) -> Element:
        session = self._session
        element = Element(
            COMMAND_TAG, {"node": session.command, "sessionid": session.id, "status": "executing"}
        )
        offered = SubElement(element, f"{{{COMMANDS_NAMESPACE}}}actions", {"execute": default})
        for action in actions:
            SubElement(offered, f"{{{COMMANDS_NAMESPACE}}}{action}")
        return element


def pages_of(about: CommandAbout) -> tuple[tuple[str, ...], ...]:
    """The pages of a command's form, each the names of its arguments; none for one without arguments."""
    names: Mapping[str, Any] = about.arguments.get("properties", {})
    if not names:
        return ()
    return about.steps or (tuple(names),)


def told(outcome: Outcome, about: CommandAbout, call: CommandCall, session_id: str) -> Element:
    """How a call ended, for people.

    Raises:
        StanzaError: It was not started.
    """
    if outcome.kind == "expired":
        raise stanza_error("not-acceptable", f"{call.name} came too late, and was not started", _EXPIRED)
    element = outcome.element(replace(call, id=session_id))
    payload = element.find(JSON_TAG)
    if payload is not None:
        element.remove(payload)
    form = None if outcome.kind != "done" else result_form(about.title or call.name, _value(outcome))
    if form is not None:
        note = element.find(_NOTE_TAG)
        if note is not None and form.find(REPORTED_TAG) is not None:  # some clients show no tables
            note.text = clean_text(readable(_value(outcome)), _LONGEST_NOTE)
        elif note is not None and outcome.result_json[:1] in {"{", "["}:
            note.text = "done"
        element.append(form)
    return element


def _short(form: Element | None) -> Element | None:
    """The form, unless showing it again would take more than a stanza."""
    if form is None or sum(len(part.text or "") for part in form.iter()) > LONGEST_JSON:
        return None
    return form


def _value(outcome: Outcome) -> object:
    return json.loads(outcome.result_json or "null")


def _note(element: Element, kind: str, text: str) -> None:
    SubElement(element, _NOTE_TAG, {"type": kind}).text = clean_text(text, _LONGEST_NOTE)
