"""A device's side of its twin: takes desired settings, keeps and applies them, and reports what holds."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from iotxmpp.addresses import DeviceId, NodeAddress, bare_jid
from iotxmpp.agent.plan import Plan
from iotxmpp.agent.presence import Problems
from iotxmpp.agent.publisher import missing_node
from iotxmpp.agent.settings import Change, Setting, interval_settings
from iotxmpp.agent.twinfile import Kept, TwinFile, twin_path
from iotxmpp.backoff import Backoff
from iotxmpp.errors import (
    ArgumentsError,
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
from iotxmpp.twin import REPORTED_ITEM, SEND_ALL, Desired, Reported, merged, parse_desired, settings_json
from iotxmpp.xmltext import clean_text

PATIENCE = 10.0
"""Seconds that a setting's function has; then its value counts as refused."""

_LONGEST_WHY = 200
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
        """
        self._link = link
        self._device = device
        self._node = node
        self._settings = settings
        self._file = file
        self._collector = collector
        self._problems = problems
        self._records = records
        self._ready = ready
        self._backoff = backoff
        self._patience = patience
        self._kept = Kept()
        self._holding: dict[str, Any] = {}
        self._refused: dict[str, str] = {}
        self._applied = Kept()
        self._asker: Caller | None = None
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._due = asyncio.Event()

    @property
    def reported(self) -> Reported:
        """What the device reports."""
        applied = self._applied
        return Reported(
            lineage=applied.lineage,
            desired=applied.version,
            version=applied.reports,
            settings=dict(self._holding),
            refused=dict(self._refused),
        )

    async def open(self) -> None:
        """Reads what is kept, and applies it; defaults where nothing is.

        A damaged file is set aside: the controller sends everything again.
        """
        self._kept, fault = await call(self._file.load)
        if fault:
            self._problems.report("twin", fault)
        self._kept = self._kept.with_next_report()
        try:
            await call(self._file.save, kept=self._kept)
        except StoreError as error:
            self._problems.report("twin", str(error))
        await self._apply(dict(self._kept.settings), self._settings.keys() | self._kept.settings.keys())
        self._applied = self._kept

    async def run(self) -> None:
        """Applies what comes, and reports, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apply_for_ever())
            group.create_task(self._report_for_ever())

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
        self._check_sender(request.sender)
        asker = Caller(jid=request.sender, by=self._collector, role="", door="twin")
        try:
            if request.kind != "set":
                raise stanza_error("bad-request", "desired settings are an IQ of type set")
            desired = _parsed(request.payload)
            async with self._writing:
                await self._take(desired, asker)
        except NotFoundError:  # no refusal: it asks for all of them
            raise
        except StanzaError as error:
            self._records.note(asker, command="", result="refused", text=error.text)
            raise
        return None

    def _check_sender(self, sender: str) -> None:
        try:
            known = bool(self._collector) and bare_jid(sender) == self._collector
        except InvalidError:  # a server's own address
            known = False
        if not known:
            self._records.refuse(sender, door="twin", text="desired settings; it is not the collector")
            raise stanza_error("forbidden", "this device takes settings from its collector alone")

    async def _take(self, desired: Desired, asker: Caller) -> None:
        kept = self._kept
        known = kept.version if desired.lineage == kept.lineage else 0
        if known and desired.version <= known:
            return
        if desired.base not in {0, known}:
            raise stanza_error(
                "item-not-found", f"settings {desired.base} are not here; send all of them", SEND_ALL
            )
        settings = merged({} if desired.base == 0 else kept.settings, desired.changes)
        try:
            settings_json(settings, "desired")
        except InvalidError as error:
            raise stanza_error("not-acceptable", clean_text(str(error))) from error
        new = Kept(
            lineage=desired.lineage, version=desired.version, settings=settings, reports=kept.reports + 1
        )
        given = {"version": desired.version, "base": desired.base, "keys": sorted(desired.changes)}
        try:
            self._records.write(asker, command="", id=_mark(new), result="started", given=given)
        except StoreError as error:  # nothing is set that cannot be written down
            raise stanza_error("resource-constraint", clean_text(str(error))) from error
        try:
            await call(self._file.save, kept=new)
        except StoreError as error:
            self._problems.report("twin", str(error))
            raise stanza_error("resource-constraint", clean_text(str(error))) from error
        self._problems.clear("twin")
        self._kept, self._asker = new, asker
        self._changed.set()

    async def _apply_for_ever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            target, asker = self._kept, self._asker
            await self._apply(dict(target.settings), self._differing(target.settings))
            self._applied = target
            if asker is not None:
                self._note_applied(target, asker)
            self._due.set()

    def _note_applied(self, target: Kept, asker: Caller) -> None:
        refused = "; ".join(f"{name}: {why}" for name, why in sorted(self._refused.items()))
        self._records.note(
            asker, command="", id=_mark(target), result="failed" if refused else "done", text=refused
        )

    def _differing(self, settings: Mapping[str, Any]) -> set[str]:
        """The names whose values are not what holds; what was refused is tried again."""
        before = self._applied.settings
        changed = {
            name
            for name in settings.keys() | before.keys()
            if name not in settings
            or name not in before
            or settings_json({name: settings[name]}, name) != settings_json({name: before[name]}, name)
        }
        return changed | self._refused.keys()

    async def _apply(self, settings: Mapping[str, Any], names: set[str]) -> None:
        for name in sorted(names):
            self._refused.pop(name, None)
            setting = self._settings.get(name)
            if setting is None:
                if name in settings:
                    self._refuse(name, f"no such setting; there is {_listed(self._settings)}")
                continue
            value = settings.get(name, setting.default)
            if value is None:  # nothing is desired, and there is no default
                continue
            why = await self._set(setting, settings.get(name))
            if not why:
                self._holding[name] = value
            elif name in settings:
                self._refuse(name, why)
            else:
                self._problems.report(f"setting {name}", f"setting {name}: its default: {why}")

    def _refuse(self, name: str, why: str) -> None:
        self._refused[name] = clean_text(why, _LONGEST_WHY)
        _LOGGER.warning("setting %s was refused: %s", name, why)

    async def _set(self, setting: Setting, value: object) -> str:
        """Calls a setting's function, with its own default for None; why it refused, or nothing."""
        try:
            arguments = {} if value is None else setting.arguments(value)
        except ArgumentsError as error:
            return str(error).removeprefix(f"command {setting.name}: ")
        try:
            async with asyncio.timeout(self._patience):
                await call(setting.function, **arguments)
        except TimeoutError as error:
            return str(error) or f"has not returned after {self._patience:g} s"
        except IotxmppError as error:
            return str(error)
        except Exception as error:
            _LOGGER.exception("setting %s failed", setting.name)
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _LOGGER.info("setting %s is %r", setting.name, setting.default if value is None else value)
        self._problems.clear(f"setting {setting.name}")
        return ""

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


def _mark(kept: Kept) -> str:
    """Names a version of the settings in the audit."""
    return f"{kept.lineage}.{kept.version}"


def _listed(settings: Mapping[str, Setting]) -> str:
    return ", ".join(sorted(settings)) or "none"
