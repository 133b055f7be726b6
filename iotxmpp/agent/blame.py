"""What is to blame where a pack was not accepted: a reading in it, or what is between it and the service."""

from iotxmpp.agent.line import Trial
from iotxmpp.errors import StanzaError

SURE_BREAKS = 2
"""So often in a row the link has to go down while exactly one pack was in flight, to be blamed on it."""

_MOST_BREAKS = 3
"""As `SURE_BREAKS`, for a reading by itself where the session had not worked before it was sent."""

MOST_REFUSALS = 2
"""So often a pack has to be refused before it is cut, or given up."""

_PASSING = frozenset(
    {
        "internal-server-error",
        "recipient-unavailable",
        "remote-server-not-found",
        "remote-server-timeout",
        "resource-constraint",
        "service-unavailable",
    }
)
"""Refusals that may have to do with the service, not with what was published."""


def is_passing(error: Exception) -> bool:
    """Whether a refusal may have to do with the service, not with what was published."""
    return isinstance(error, StanzaError) and error.condition in _PASSING


def is_to_blame(trial: Trial, *, worked: bool) -> bool:
    """Whether one reading breaks the link: it did so twice, or alone after it had done so among others."""
    if not worked:
        return trial.broken >= _MOST_BREAKS
    return trial.suspect or trial.broken >= SURE_BREAKS
