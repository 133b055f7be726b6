"""The file that keeps a device's desired settings: replaced as a whole, and on disk before that is said."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from iotxmpp.agent.durable import replace_file
from iotxmpp.errors import InvalidError, StoreError
from iotxmpp.twin import DEEPEST_JSON, LARGEST_VERSION, LONGEST_JSON, json_object, settings_json

ENDING = ".twin.json"
"""The file stands beside the outbox: `outbox.db` has `outbox.twin.json`."""

_LONGEST = 16 * LONGEST_JSON


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A version that was taken, and of which nobody has written down yet how it ended.

    Attributes:
        id: The version's name in the audit.
        who: The full JID that sent it.
        by: The bare JID of who desired it.
        names: The settings that it changed.
    """

    id: str
    who: str
    by: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What is kept.

    Attributes:
        lineage: The lineage of the desired settings; empty for none.
        version: Their version; 0 for none.
        settings: The desired settings.
        reports: The number of the newest report that may have gone out.
        held: What held last in the place of desired values that do not hold.
        refused: Why desired values were refused; of the version that was applied last.
        pending: The versions that were taken and not applied to the end.
    """

    lineage: str = ""
    version: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    reports: int = 0
    held: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    pending: tuple[Taken, ...] = ()

    def with_next_report(self) -> "Kept":
        """The same, with a new report's number."""
        return replace(self, reports=self.reports + 1)


def twin_path(outbox: Path | None) -> Path | None:
    """Where the settings are kept, for the outbox's file; None for in memory, as the outbox is."""
    return None if outbox is None else outbox.with_name(f"{outbox.stem}{ENDING}")


class TwinFile:
    """The file, or none; its calls block."""

    def __init__(self, path: Path | None) -> None:
        """Makes one; nothing is read yet. Without a path nothing outlives the agent."""
        self._path = path

    def load(self) -> tuple[Kept, str]:
        """What is kept, and what was wrong with the file; a damaged file is set aside."""
        if self._path is None:
            return Kept(), ""
        try:
            return _parse(self._path.read_text(encoding="utf-8")), ""
        except FileNotFoundError:
            return Kept(), ""
        except OSError as error:
            return Kept(), f"settings file {self._path}: {error.strerror}; the collector sends them again"
        except ValueError as error:
            return Kept(), _set_aside(self._path, error)

    def save(self, kept: Kept) -> None:
        """Replaces the file; what was there before stays until the new one is whole and on disk.

        Raises:
            StoreError: It could not be written; what was there is unchanged.
        """
        if self._path is None:
            return
        text = json.dumps(
            {
                "form": 1,
                "lineage": kept.lineage,
                "version": kept.version,
                "reports": kept.reports,
                "settings": dict(kept.settings),
                "held": dict(kept.held),
                "refused": dict(kept.refused),
                "pending": [asdict(each) for each in kept.pending],
            }
        )
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, text, mode=0o600)
        except OSError as error:
            raise StoreError(
                f"settings file {self._path}: {error.strerror}; make room or make it writable"
            ) from error


def _set_aside(path: Path, error: ValueError) -> str:
    """Renames a damaged file; what to tell people."""
    aside = path.with_name(f"{path.name}.damaged")
    text = f"settings file {path}: damaged: {error}"
    try:
        path.replace(aside)
    except OSError as fault:
        return f"{text}; it cannot be set aside: {fault.strerror}"
    return f"{text}; set aside as {aside.name}; the collector sends them again"


def _parse(text: str) -> Kept:
    given = json_object(text, "settings file", longest=_LONGEST, deepest=DEEPEST_JSON + 1)
    lineage, settings = given.get("lineage"), given.get("settings")
    version, reports = given.get("version"), given.get("reports")
    if given.get("form") != 1 or not isinstance(lineage, str) or not isinstance(settings, dict):
        raise InvalidError("not of this form")
    if not (_is_count(version) and _is_count(reports)):
        raise InvalidError("its versions are no whole numbers")
    settings_json(settings, "settings file")
    held, refused = given.get("held", {}), given.get("refused", {})
    if not isinstance(held, dict) or not _are_texts(refused):
        raise InvalidError("what it says of refused settings is not of this form")
    return Kept(
        lineage=lineage,
        version=version,
        settings=settings,
        reports=reports,
        held=held,
        refused=refused,
        pending=_pending(given.get("pending", [])),
    )


def _are_texts(value: object) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _pending(value: object) -> tuple[Taken, ...]:
    if not isinstance(value, list):
        raise InvalidError("what it says of pending versions is not of this form")
    found = []
    for each in value:
        names = each.get("names") if isinstance(each, dict) else None
        if not isinstance(names, list) or not all(
            isinstance(text, str) for text in (each.get("id"), each.get("who"), each.get("by"), *names)
        ):
            raise InvalidError("a pending version is not of this form")
        found.append(Taken(id=each["id"], who=each["who"], by=each["by"], names=tuple(names)))
    return tuple(found)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= LARGEST_VERSION
