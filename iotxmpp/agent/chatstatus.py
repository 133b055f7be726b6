"""How a device is, for people who ask it in a chat."""

from collections.abc import Mapping

from iotxmpp.readings import Value
from iotxmpp.serving.chattext import span
from iotxmpp.status import DeviceStatus
from iotxmpp.xmltext import clean_text, printable

MOST_READINGS = 20
"""Readings that are told; of a device with more channels, the rest are counted."""

_LONGEST_VALUE = 100


def status_text(status: DeviceStatus, device: str, latest: Mapping[str, tuple[Value, str | None]]) -> str:
    """How a device is, a few lines: state, uptime, last readings, outbox, problems.

    Args:
        status: What its presence says.
        device: Its id.
        latest: The newest value of each channel, with its unit.
    """
    shown = list(latest.items())[:MOST_READINGS]
    lines = [f"{device} is {_state(status)}, up for {span(status.uptime)}"]
    lines += [f"{name}: {_shown(value)}{f' {unit}' if unit else ''}" for name, (value, unit) in shown]
    if len(latest) > len(shown):
        lines.append(f"and {len(latest) - len(shown)} more readings")
    lines.append(f"outbox: {_outbox(status)}")
    lines += [f"problem: {each}" for each in status.problems] or ["no problems"]
    return "\n".join(lines)


def _state(status: DeviceStatus) -> str:
    return "online" if status.sleeping is None else f"going to sleep for {span(status.sleeping)}"


def _outbox(status: DeviceStatus) -> str:
    where = "on disk" if status.outbox == "disk" else "in memory"
    oldest = f", the oldest for {span(status.oldest)}" if status.oldest else ""
    parts = [f"{_count(status.buffered)} waiting {where}{oldest}" if status.buffered else f"empty, {where}"]
    if status.dropped:
        parts.append(f"{status.dropped} given up since the start")
    if status.dead:
        parts.append(f"{status.dead} could not be delivered")
    return "; ".join(parts)


def _count(number: int) -> str:
    return "1 reading" if number == 1 else f"{number} readings"


def _shown(value: Value) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case str():
            return printable(clean_text(value, _LONGEST_VALUE))
        case _:
            return str(value)
