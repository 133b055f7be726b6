"""Who may ask what only a device's collector may ask."""

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError, stanza_error
from iotxmpp.serving.command import Caller, Door
from iotxmpp.serving.records import Records


def collector_as_caller(  # noqa: PLR0913  # who asks what of whom
    sender: str, collector: str, records: Records, *, door: Door, asked: str, taken: str
) -> Caller:
    """The collector as who asks, for the audit; anybody else is refused, and that is written down.

    Args:
        sender: The full JID that asks.
        collector: The bare JID of the collector; empty where there is none.
        records: Where it is written down who was refused.
        door: Where it was asked.
        asked: What was asked, such as `an ack`.
        taken: What the device takes from its collector alone, such as `acks`.

    Raises:
        StanzaError: `forbidden`: it is not the collector.
    """
    try:
        known = bool(collector) and bare_jid(sender) == collector
    except InvalidError:  # a server's own address
        known = False
    if not known:
        records.refuse(sender, door=door, text=f"{asked}; it is not the collector")
        raise stanza_error("forbidden", f"this device takes {taken} from its collector alone")
    return Caller(jid=sender, by=collector, role="", door=door)
