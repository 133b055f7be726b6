"""Spans and points of time as people write them."""

import math
import re
from datetime import datetime

from iotxmpp.errors import InvalidError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdwy])", re.ASCII)
_HINT = "give a duration such as 30m, 2h, 7d or 5y"


def duration(given: str | float, where: str) -> float:
    """A span of time in seconds, from text such as `30s`, `30m`, `2h`, `7d`, `2w` or `5y` (of 365 days).

    Raises:
        InvalidError: It is no such text, nor a number of seconds, or not more than 0.
    """
    seconds = math.nan
    if isinstance(given, str):
        match = _DURATION.fullmatch(given.strip())
        if match is not None:
            seconds = float(match[1]) * _SECONDS[match[2]]
    elif not isinstance(given, bool):
        seconds = float(given)
    if not 0 < seconds < math.inf:
        raise InvalidError(f"{where} {given!r}: {_HINT}")
    return seconds


def moment(given: str, now: float, where: str) -> float:
    """A point of time in seconds since 1970: so long before `now`, or a date or time of ISO 8601.

    A time without a zone is local.

    Raises:
        InvalidError: It is neither.
    """
    if _DURATION.fullmatch(given.strip()):
        return now - duration(given, where)
    try:
        return datetime.fromisoformat(given.strip()).timestamp()
    except (ValueError, OverflowError):
        raise InvalidError(
            f"{where} {given!r}: {_HINT}, or a time such as 2026-03-01T08:00 or 2026-03-01T08:00Z"
        ) from None
