"""When a kept reading was read, whatever the device's clock did since."""

from iotxmpp.agent.clock import Moment
from iotxmpp.agent.outbox.rows import Epoch, Row
from iotxmpp.readings import ClockQuality


def time_now_of(row: Row, epoch: Epoch, *, boot: str, moment: Moment) -> tuple[float, ClockQuality] | None:
    """When a reading was read, as it is to be published now; with quality `r` in seconds before now.

    Args:
        row: The reading.
        epoch: Its run of the agent.
        boot: This run of the system.
        moment: Now.

    Returns:
        The time and its quality. None: the clock was not set in that run of the system, and the system has
        been started anew since, so nobody can tell.
    """
    if row.clock != "r":
        return row.time, row.clock
    if epoch.offset is not None:
        return epoch.offset + row.time, "u"
    if epoch.boot != boot:
        return None
    return min(0.0, row.time - moment.uptime), "r"


def age_of(known: tuple[float, ClockQuality] | None, moment: Moment) -> float:
    """Seconds since then; 0 where that cannot be told."""
    if known is None:
        return 0.0
    if known[1] == "r":
        return max(0.0, -known[0])
    return max(0.0, (moment.time or known[0]) - known[0])
