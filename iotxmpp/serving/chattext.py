"""What became of a command, as a chat says it."""

import json

from iotxmpp.commands import Outcome


def told(name: str, outcome: Outcome) -> str:
    """What became of a command, for people."""
    match outcome.kind:
        case "done":
            return readable(json.loads(outcome.result_json or "null"))
        case "failed":
            return f"{name} failed: {outcome.text}"
        case "unknown":
            return outcome.text or f"{name} was started, and what became of it is not known."
        case "cancelled":
            return f"{name} was cancelled before it started."
        case "expired":
            return f"{name} came too late, and was not started."
        case "rejected":
            usage = (
                f"\nhelp {name} tells how to write it." if outcome.condition.startswith("bad-request") else ""
            )
            return f"{outcome.text or outcome.condition}{usage}"


def readable(result: object) -> str:
    """A result for people: a line for each key or element, as far as it is plain."""
    match result:
        case None:
            return "done"
        case str():
            return result
        case dict() if result:
            return "\n".join(f"{key}: {_plain(value)}" for key, value in result.items())
        case list() if result:
            return "\n".join(_row(each) for each in result)
        case _:
            return _plain(result)


def _row(element: object) -> str:
    if isinstance(element, dict):
        return ", ".join(f"{key}: {_plain(value)}" for key, value in element.items())
    return _plain(element)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def span(seconds: float) -> str:
    """A span of time for people, such as `45 s`, `12 min` or `5 h`."""
    minute, hour = 60, 3600
    if seconds < 2 * minute:
        return f"{seconds:.0f} s"
    return f"{seconds / minute:.0f} min" if seconds < 2 * hour else f"{seconds / hour:.0f} h"
