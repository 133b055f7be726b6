"""A device's side of its twin: takes desired settings, keeps and applies them, and reports what holds."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.addresses import DeviceId, NodeAddress
from iotxmpp.agent.collector import collector_as_caller
from iotxmpp.agent.plan import Plan
from iotxmpp.agent.presence import Problems, missing_node
from iotxmpp.agent.settings import Change, Setting, interval_settings
from iotxmpp.agent.twinapply import PATIENCE, Applier
from iotxmpp.agent.twinfile import Kept, Taken, TwinFile, twin_path
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ForbiddenError,
    InvalidError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    NotFoundError,
    StanzaError,
    StoreError,
    stanza_error,
)
from iotxmpp.link import Link, LinkState, Request
from iotxmpp.payloads import json_element
from iotxmpp.serving.command import Caller
from iotxmpp.serving.offloop import call
from iotxmpp.serving.records import Records
from iotxmpp.twin import (
    REPORTED_ITEM,
    SEND_ALL,
    Desired,
    Reported,
    changed,
    digest,
    merged,
    parse_desired,
    settings_json,
)
from iotxmpp.xmltext import clean_text

RIVALRY = 7200.0
"""Seconds after which two controllers that replaced each other's settings count as one again."""

_FILE = "twin file"

_LOGGER = logging.getLogger(__name__)


class DeviceTwin:
    """The settings of a running device; its `answer` is a handler for `Link.serve(DESIRED_TAG, …)`.

    What is desired is on disk before it is acknowledged, and applied at each start. A setting that is taken
    away goes back to its default; one without a default stays as it is.
    """

    def __init__(  # noqa: PLR0913  # each is another part of the device
        self,
        link: Link,
        *,
        device: DeviceId,
        node: NodeAddress,
        settings: Mapping[str, Setting],
        file: TwinFile,
        collector: str,
        problems: Problems,
        records: Records,
        ready: asyncio.Event,
        backoff: Backoff,
        patience: float = PATIENCE,
        saving: Backoff | None = None,
    ) -> None:
        """Makes one.

        Args:
            link: Where to report.
            device: The device's id.
            node: The device's node of states.
            settings: The settings by name.
            file: Where desired settings are kept.
            collector: The bare JID that may desire; empty for nobody.
            problems: Where to say what does not work.
            records: Where it is written down who desired what.
            ready: Set while items may go out: the link is up, and the self-description is published.
            backoff: When to report again what was not accepted.
            patience: Seconds that a setting's function has.
            saving: When to save again what the disk did not take; within a minute, unless given.
        """
        self._link = link
        self._device = device
        self._node = node
        self._settings = settings
        self._changed = asyncio.Event()
        self._applier = Applier(settings, problems=problems, ended=self._changed.set, patience=patience)
        self._file = file
        self._collector = collector
        self._problems = problems
        self._records = records
        self._ready = ready
        self._backoff = backoff
        self._saving = saving or Backoff(longest=60.0)
        self._unsaved = asyncio.Event()
        self._kept = Kept()
        self._applied = Kept()
        self._applying: set[str] = set()
        self._last: Taken | None = None
        self._left: dict[str, float] = {}
        self._rivals: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._due = asyncio.Event()

    @property
    def reported(self) -> Reported:
        """What the device reports."""
        applied = self._applied
        return Reported(
            lineage=applied.lineage,
            desired=applied.version,
            version=applied.reports,
            settings=dict(self._applier.holding),
            refused=dict(self._applier.refused),
            digest=digest(applied.settings) if applied.lineage else "",
        )

    async def open(self) -> None:
        """Reads what is kept, and applies it; defaults where nothing is.

        A damaged file is set aside: the controller sends everything again.
        """
        self._kept, fault = await call(self._file.load)
        if fault:
            self._problems.report("twin", fault)
        await self._applier.start(self._kept)
        await self._finish(self._kept)

    async def run(self) -> None:
        """Applies what comes, and reports, until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._apply_for_ever())
                group.create_task(self._report_for_ever())
                group.create_task(self._save_for_ever())
        finally:
            self._applier.close()
            if self._rivals is not None:
                self._rivals.cancel()

    def state_changed(self, state: LinkState) -> None:
        """Takes note of the link's state; a handler for `Link.on_state`."""
        if state.up and not state.resumed:
            self._due.set()

    async def answer(self, request: Request) -> Element | None:
        """Takes desired settings; the answer is empty, and sent when they are on disk.

        Raises:
            StanzaError: `forbidden`, `bad-request`; `item-not-found` for changes to another version than the
                device has: then everything is to be sent; `resource-constraint` while the disk fails.
        """
        asker = collector_as_caller(
            request.sender,
            self._collector,
            self._records,
            door="twin",
            asked="desired settings",
            taken="settings",
        )
        try:
            if request.kind != "set":
                raise stanza_error("bad-request", "desired settings are an IQ of type set")
            desired = _parsed(request.payload)
            async with self._writing:
                await self._take(desired, replace(asker, by=desired.by or asker.by))
        except NotFoundError:  # no refusal: it asks for all of them
            raise
        except StanzaError as error:
            self._records.note(asker, command="", result="refused", text=error.text)
            raise
        return None

    async def _take(self, desired: Desired, asker: Caller) -> None:
        kept = self._kept
        known = kept.version if desired.lineage == kept.lineage else 0
        if known and desired.version <= known:
            if desired.version == known and desired.digest not in {"", digest(kept.settings)}:
                raise _send_all(f"version {known} has other settings here")
            return
        if desired.base not in {0, known}:
            raise _send_all(f"settings {desired.base} are not here")
        settings = merged({} if desired.base == 0 else kept.settings, desired.changes)
        try:
            settings_json(settings, "desired")
        except InvalidError as error:
            raise stanza_error("not-acceptable", clean_text(str(error))) from error
        if desired.base and desired.digest not in {"", digest(settings)}:
            raise _send_all(f"settings {desired.base} are others here")
        taken = Taken(
            id=f"{desired.lineage}.{desired.version}",
            who=asker.jid,
            by=asker.by,
            names=tuple(sorted(desired.changes)),
        )
        waiting = [each for each in kept.pending if each.id not in self._applying]
        names = {*taken.names, *(name for each in waiting for name in each.names)}
        new = Kept(
            lineage=desired.lineage,
            version=desired.version,
            settings=settings,
            reports=kept.reports + 1,
            held=self._applier.held(settings),
            refused=dict(self._applier.refused),
            pending=(
                *(each for each in kept.pending if each not in waiting),
                replace(taken, names=tuple(sorted(names))),
            ),
        )
        given = {"version": desired.version, "base": desired.base, "keys": sorted(desired.changes)}
        try:
            self._records.write(asker, command="", id=taken.id, result="started", given=given)
        except StoreError as error:  # nothing is set that cannot be written down
            raise stanza_error("resource-constraint", clean_text(str(error))) from error
        try:
            await self._save(new)
        except StoreError as error:
            raise stanza_error("resource-constraint", clean_text(str(error))) from error
        self._problems.clear("twin")
        for each in waiting:
            text = f"version {new.version} came before it was applied"
            self._records.note(_asker(each), command="", id=each.id, result="cancelled", text=text)
        if kept.lineage and kept.lineage != new.lineage:
            self._look_for_rivals(kept.lineage, new.lineage)
        self._kept = new
        self._changed.set()

    def _look_for_rivals(self, old: str, new: str) -> None:
        """A lineage that comes back, after another one had replaced it, is a second controller's."""
        now = time.monotonic()
        self._left = {each: left for each, left in self._left.items() if now - left < RIVALRY}
        if new in self._left:
            self._problems.report(
                "controllers",
                "two controllers desire settings of this device, and each replaces what the other one"
                f" desired: stop one of those that run as {self._collector}, or let them use one store",
            )
            if self._rivals is not None:
                self._rivals.cancel()
            loop = asyncio.get_running_loop()
            self._rivals = loop.call_later(RIVALRY, self._problems.clear, "controllers")
        self._left[old] = now

    async def _apply_for_ever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            target, applied = self._kept, self._applied
            self._applying = {each.id for each in target.pending}
            is_new = (target.lineage, target.version) != (applied.lineage, applied.version)
            names = self._differing(target.settings) if is_new else set()
            ended = await self._applier.apply(dict(target.settings), names)
            await self._finish(target, ended - names)
            self._due.set()

    async def _finish(self, target: Kept, ended: Collection[str] = ()) -> None:
        """Keeps what holds after a version was applied, and writes down how that ended."""
        async with self._writing:
            for taken in target.pending:
                self._note_applied(taken, taken.names)
            if ended and self._last is not None:
                self._note_applied(self._last, ended)
            self._last = target.pending[-1] if target.pending else self._last
            kept = self._kept
            self._kept = replace(
                kept.with_next_report(),
                held=self._applier.held(kept.settings),
                refused=dict(self._applier.refused),
                pending=tuple(each for each in kept.pending if each not in target.pending),
            )
            self._applying = set()
            self._applied = replace(target, reports=self._kept.reports)
            with suppress(StoreError):  # it is said, and saved later
                await self._save(self._kept)

    async def _save(self, kept: Kept) -> None:
        """Has something on disk.

        Raises:
            StoreError: It is not; what is kept by then will be saved as soon as the disk takes it.
        """
        try:
            await call(self._file.save, kept=kept)
        except StoreError as error:
            self._problems.report(_FILE, str(error))
            self._unsaved.set()
            raise
        self._unsaved.clear()
        self._saving.reset()
        self._problems.clear(_FILE)

    async def _save_for_ever(self) -> None:
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(self._saving.next_delay())
            async with self._writing:
                if self._unsaved.is_set():  # nothing was saved in the meantime
                    with suppress(StoreError):
                        await self._save(self._kept)

    def _note_applied(self, taken: Taken, names: Collection[str]) -> None:
        refused = "; ".join(f"{name}: {why}" for name, why in self._applier.refused.items() if name in names)
        self._records.note(
            _asker(taken), command="", id=taken.id, result="failed" if refused else "done", text=refused
        )

    def _differing(self, settings: Mapping[str, Any]) -> set[str]:
        """The names whose values are not what holds; what was refused is tried again."""
        return {*changed(self._applied.settings, settings), *self._applier.refused}

    async def _report_for_ever(self) -> None:
        self._due.set()
        while True:
            await self._due.wait()
            await self._ready.wait()
            self._due.clear()
            if await self._report():
                self._backoff.reset()
                continue
            self._due.set()
            await asyncio.sleep(self._backoff.next_delay())

    async def _report(self) -> bool:
        """Publishes what holds; whether that is done with."""
        if not self._settings and not self._kept.lineage:
            return True
        payload = json_element(self.reported.json())
        try:
            await self._link.publish(self._node, payload, item_id=REPORTED_ITEM)
        except (LinkDownError, NoAnswerError) as error:
            _LOGGER.info("%s: %s; it goes out again", self._node.node, error)
            return False
        except (ForbiddenError, NotFoundError) as error:
            if not self._kept.lineage:  # nobody uses the twin: a missing node is no problem
                _LOGGER.info("%s", missing_node(self._node, self._device, error))
                return True
            self._problems.report("state", missing_node(self._node, self._device, error))
            return False
        except IotxmppError as error:
            self._problems.report("state", f"{self._node.node}: the settings were not accepted: {error}")
            return False
        self._problems.clear("state")
        return True


def device_twin(  # noqa: PLR0913  # each is another part of the device
    link: Link,
    plan: Plan,
    *,
    change: Change,
    problems: Problems,
    records: Records,
    ready: asyncio.Event,
    backoff: Backoff,
) -> DeviceTwin:
    """The twin of a planned device; `change` sets sensors' intervals, the rest is as for `DeviceTwin`."""
    return DeviceTwin(
        link,
        device=plan.device,
        node=plan.nodes.state,
        settings={**plan.settings, **interval_settings(plan.sensors, change)},
        file=TwinFile(twin_path(plan.outbox.file(plan.account.jid, plan.device))),
        collector=plan.collector,
        problems=problems,
        records=records,
        ready=ready,
        backoff=backoff,
    )


def _parsed(payload: Element) -> Desired:
    try:
        return parse_desired(payload)
    except InvalidError as error:
        raise stanza_error("bad-request", clean_text(str(error))) from error


def _send_all(why: str) -> StanzaError:
    return stanza_error("item-not-found", f"{why}; send all of them", SEND_ALL)


def _asker(taken: Taken) -> Caller:
    return Caller(jid=taken.who, by=taken.by, role="", door="twin")
