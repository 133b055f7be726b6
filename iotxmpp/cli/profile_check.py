"""What is wrong with a profile's file: its form, and what its driver thinks of it."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import device_profiles
from iotxmpp.agent.drivers import create_driver, driver_kinds
from iotxmpp.cli.starters import KINDS
from iotxmpp.errors import ConfigError
from iotxmpp.faulttexts import guess
from iotxmpp.profiles import Profile
from iotxmpp.tables import TableError

_NEAR = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One file's result.

    Attributes:
        file: The file.
        summary: What is in a good one; empty for others.
        faults: What is wrong, each with its file and key.
        notes: What could not be checked.
    """

    file: Path
    summary: str = ""
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """It for scripts."""
        return {
            "file": str(self.file),
            "ok": not self.faults,
            "faults": list(self.faults),
            "notes": list(self.notes),
        }


def checked(file: Path) -> Checked:
    """Checks a profile's file."""
    try:
        profile = device_profiles.load_file(file)
    except TableError as error:
        return Checked(file=file, faults=tuple(f"{error.where}: {fault}" for fault in error.faults))
    except ConfigError as error:
        return Checked(file=file, faults=(f"{file}: {error}",))
    kind, summary = profile.driver.kind, _summary(file, profile)
    try:
        _make_driver(profile)
    except ConfigError as error:
        text = str(error)
        if text.startswith(f"driver {kind!r}: not installed"):
            known = sorted({*KINDS, *driver_kinds()})
            meant = next((each for each in known if _is_slip(kind, each)), None)
            if meant is not None and kind not in known:
                fault = f"{file}: driver.kind: no driver is called {kind!r}: did you mean {meant}?"
                return Checked(file=file, faults=(fault,))
            hint = "" if kind in known else guess(kind, known)
            note = f"{file}: driver.kind: {kind!r} is not installed here, so its keys were not checked{hint}"
            return Checked(file=file, summary=summary, notes=(note,))
        if not _is_the_devices(error):
            return Checked(file=file, faults=(f"{file}: {text}",))
    return Checked(file=file, summary=summary)


def _make_driver(profile: Profile) -> None:
    """Makes the driver as for a simulated device, for that one needs no place; as a real one, if it has none.

    Raises:
        ConfigError: The driver cannot serve the profile.
    """
    try:
        create_driver(profile, {"simulated": True})
    except ConfigError as error:
        if not _knows_no_simulation(error):
            raise
        create_driver(profile, {})


def _is_slip(kind: str, known: str) -> bool:
    """Whether a kind is rather a known one, mistyped, than one that is installed elsewhere."""
    kind = kind.casefold()
    if abs(len(kind) - len(known)) > 1:
        return False
    return sorted(kind) == sorted(known) or SequenceMatcher(None, kind, known).ratio() > _NEAR


def _summary(file: Path, profile: Profile) -> str:
    channels, commands = len(profile.channels()), len(profile.commands)
    return f"{file}: good: {profile.id} {profile.version}, {channels} channels, {commands} commands"


def _knows_no_simulation(error: ConfigError) -> bool:
    """Whether the driver has no such setting."""
    cause = error.__cause__
    return isinstance(cause, ValidationError) and any(
        (each["type"], each["loc"]) == ("extra_forbidden", ("simulated",)) for each in cause.errors()
    )


def _is_the_devices(error: ConfigError) -> bool:
    """Whether settings are missing alone: each device gives them in its own file."""
    cause = error.__cause__
    return isinstance(cause, ValidationError) and all(each["type"] == "missing" for each in cause.errors())
