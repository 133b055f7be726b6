"""What a check found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "advice", "fault"]
"""`ok`: all is well. `advice`: it works, and could be better. `fault`: it does not work like this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: How it is.
        what: What was found, in one sentence.
        why: What that means; empty where it explains itself.
        fix: Commands, or lines of a configuration, that put it right, as they are typed.
        check: The check's name; empty until it has run.
    """

    level: Level
    what: str
    why: str = ""
    fix: tuple[str, ...] = ()
    check: str = ""

    def data(self) -> dict[str, Any]:
        """It as JSON has it."""
        return asdict(self)


def ok(what: str, why: str = "") -> Finding:
    """All is well."""
    return Finding(level="ok", what=what, why=why)


def advice(what: str, why: str = "", *fix: str) -> Finding:
    """It works, and could be better."""
    return Finding(level="advice", what=what, why=why, fix=fix)


def fault(what: str, why: str = "", *fix: str) -> Finding:
    """It does not work like this."""
    return Finding(level="fault", what=what, why=why, fix=fix)


def graded(needed: bool, what: str, why: str = "", *fix: str) -> Finding:  # noqa: FBT001  # the first word says it
    """A fault for a device that needs it, advice for any other."""
    return fault(what, why, *fix) if needed else advice(what, why, *fix)
