"""Applies settings on a device: calls their functions, one after another, and knows what holds."""

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iotxmpp.agent.presence import Problems
from iotxmpp.agent.settings import Setting
from iotxmpp.agent.twinfile import Kept
from iotxmpp.errors import ArgumentsError, IotxmppError
from iotxmpp.serving.offloop import call
from iotxmpp.twin import LONGEST_JSON, STILL, same
from iotxmpp.xmltext import clean_text

PATIENCE = 10.0
"""Seconds that a setting's function has; then its value counts as refused."""

_NO_SUCH = "no such setting"
_LONGEST_WHY = 200
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Late:
    """A call that has not returned: what was desired, None for the default, and what holds if it succeeds."""

    task: asyncio.Task[Any]
    given: Any
    value: Any


class Applier:
    """What holds of a device's settings.

    Args:
        settings: The settings by name.
        problems: Where to say what does not work.
        ended: Called when a call has ended that had not returned in time; `apply` then takes its outcome.
        patience: Seconds that a setting's function has.

    Attributes:
        holding: The values that hold, by name.
        refused: Why desired values do not hold, by name.
    """

    def __init__(
        self,
        settings: Mapping[str, Setting],
        *,
        problems: Problems,
        ended: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        self._settings = settings
        self._problems = problems
        self._ended = ended
        self._patience = patience
        self._late: dict[str, _Late] = {}
        self._before: Mapping[str, Any] = {}
        self.holding: dict[str, Any] = {}
        self.refused: dict[str, str] = {}

    def held(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The values that hold in the place of desired ones, to be kept; no defaults, and not too long."""
        found, room = dict[str, Any](), 2 * LONGEST_JSON
        for name, value in {**self._before, **self.holding}.items():
            setting = self._settings.get(name)
            if setting is None or name not in settings or same(value, settings[name]):
                continue
            room -= len(json.dumps(value))
            if room >= 0 and not same(value, setting.default):
                found[name] = value
        return found

    async def start(self, kept: Kept) -> None:
        """Applies what is kept: of a value that was refused, what held before, or else the default."""
        self._before = kept.held
        refused = {} if kept.pending else kept.refused  # what was not applied to the end is tried again
        for name in sorted(self._settings.keys() | kept.settings.keys()):
            why = refused.get(name, "") if name in self._settings and name in kept.settings else ""
            if not why or why.startswith((_NO_SUCH, STILL)):
                await self._apply(name, kept.settings)
                why = self.refused.get(name, "")
            if why and name in self._settings and name not in self._late:
                await self._fall_back(name, why)

    async def apply(self, settings: Mapping[str, Any], names: set[str]) -> set[str]:
        """Applies the desired values of some names, and takes the outcome of calls that ended meanwhile.

        Returns:
            The names whose calls ended.
        """
        ended = {name for name, late in self._late.items() if late.task.done()}
        for name in sorted(names | ended):
            await self._apply(name, settings)
        return ended

    def close(self) -> None:
        """Waits for no call any more."""
        for late in self._late.values():
            late.task.cancel()

    async def _apply(self, name: str, settings: Mapping[str, Any]) -> None:
        self.refused.pop(name, None)
        setting, given = self._settings.get(name), settings.get(name)
        if setting is None:
            if name in settings:
                self._refuse(name, f"{_NO_SUCH}; there is {', '.join(sorted(self._settings)) or 'none'}")
            return
        late = self._late.get(name)
        if late is not None and not late.task.done():
            if given is not None:
                self._refuse(name, f"{STILL}: an earlier call has not returned")
            return
        if late is not None:
            del self._late[name]
            why = self._outcome(setting, late.task, late.given)
            if not why:
                self.holding[name] = late.value
            if same(late.given, given):
                await self._settle(setting, given, why)
                return
        value = setting.default if given is None else given
        if value is None:  # nothing is desired, and there is no default
            return
        why = await self._set(setting, given, value)
        if not why:
            self.holding[name] = value
        self._blame(setting, given, why)

    async def _settle(self, setting: Setting, given: object, why: str) -> None:
        """Takes the outcome of a late call whose value is still the desired one."""
        if why and given is not None and setting.name not in self.holding:
            await self._fall_back(setting.name, why)
        else:
            self._blame(setting, given, why)

    async def _fall_back(self, name: str, why: str) -> None:
        """Applies what held before a value that is refused."""
        await self._apply(name, {name: self._before[name]} if name in self._before else {})
        self._refuse(name, why)

    def _blame(self, setting: Setting, given: object, why: str) -> None:
        if why and given is not None:
            self._refuse(setting.name, why)
        elif why:
            text = f"setting {setting.name}: its default: {why}"
            self._problems.report(f"setting {setting.name}", text)

    def _refuse(self, name: str, why: str) -> None:
        self.refused[name] = clean_text(why, _LONGEST_WHY)
        _LOGGER.warning("setting %s was refused: %s", name, why)

    async def _set(self, setting: Setting, given: object, value: object) -> str:
        """Calls a setting's function, with its own default for None; why it refused, or nothing."""
        try:
            arguments = {} if given is None else setting.arguments(given)
        except ArgumentsError as error:
            return str(error).removeprefix(f"command {setting.name}: ")
        task = asyncio.create_task(call(setting.function, **arguments))
        try:
            await asyncio.wait({task}, timeout=self._patience)
            if not task.done() and inspect.iscoroutinefunction(setting.function):
                task.cancel()
                await asyncio.wait({task}, timeout=self._patience)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done():
            return self._outcome(setting, task, given)
        self._late[setting.name] = _Late(task=task, given=given, value=value)
        task.add_done_callback(lambda _task: self._ended())
        return f"{STILL}: has not returned after {self._patience:g} s"

    def _outcome(self, setting: Setting, task: asyncio.Task[Any], given: object) -> str:
        if task.cancelled():
            return f"has not returned after {self._patience:g} s"
        error = task.exception()
        if error is None:
            if given is not None:  # what nobody desires is no news
                _LOGGER.info("setting %s is %r", setting.name, given)
            self._problems.clear(f"setting {setting.name}")
            return ""
        if isinstance(error, IotxmppError):
            return str(error)
        _LOGGER.error("setting %s failed", setting.name, exc_info=error)
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
