"""How calls end that never acted."""

from typing import Final

from iotxmpp.commands import Outcome

CANCELLED: Final = Outcome(kind="cancelled", text="it was cancelled before it was started")
EXPIRED: Final = Outcome(kind="expired", text="the call expired before it could start")
BUSY: Final = Outcome(
    kind="rejected",
    condition="resource-constraint",
    text="this device is busy with other commands; try again later",
)
STOPPING: Final = Outcome(
    kind="rejected", condition="resource-constraint", text="this device stops now; try again later"
)
TOO_LATE: Final = Outcome(
    kind="rejected",
    condition="bad-request/bad-action",
    text="too late to cancel: the call was started",
)
NO_CALL: Final = Outcome(
    kind="rejected",
    condition="bad-request/bad-sessionid",
    text="there is no such call to cancel: it did not come, or too long ago",
)
"""What is said of a call that is to be cancelled and never came."""

BARRED: Final = Outcome(
    kind="unknown", text="it was cancelled, and does not run; whether it ran before that is not known"
)
"""How a call ends that was cancelled when nobody knew it."""
