"""Serves the collector's acks: `{urn:iotxmpp:delivery:0}ack`."""

import logging
from collections.abc import Callable
from xml.etree.ElementTree import Element

from iotxmpp import crashpoints
from iotxmpp.agent.collector import collector_as_caller
from iotxmpp.agent.line import Line
from iotxmpp.agent.outbox.keeper import Keeper
from iotxmpp.agent.outbox.rows import place_of, seq_of
from iotxmpp.delivery import parse_ack
from iotxmpp.errors import InvalidError, StanzaError, stanza_error
from iotxmpp.link import Request
from iotxmpp.serving.records import Records

_LOGGER = logging.getLogger(__name__)


class AckServer:
    """Takes acks from the collector, and from nobody else; its `answer` is a handler for `Link.serve`."""

    def __init__(
        self,
        keeper: Keeper,
        line: Line,
        *,
        collector: str,
        acknowledged: Callable[..., None],
        records: Records,
    ) -> None:
        """Makes one.

        Args:
            keeper: Where readings are kept.
            line: Knows what was published.
            collector: The bare JID whose acks count; empty for nobody's.
            acknowledged: Is told, with `progress` and `again`.
            records: Where it is written down who was refused.
        """
        self._keeper = keeper
        self._line = line
        self._collector = collector
        self._acknowledged = acknowledged
        self._records = records

    async def answer(self, request: Request) -> Element | None:
        """Takes one ack; the answer is empty.

        Raises:
            StanzaError: `forbidden`, `bad-request`, or `not-acceptable` for a number that was never
                published; nothing is trimmed then.
        """
        sender = collector_as_caller(
            request.sender, self._collector, self._records, door="acks", asked="an ack", taken="acks"
        )
        try:
            return await self._take(request)
        except StanzaError as error:
            self._records.note(sender, command="", result="refused", text=error.text)
            raise

    async def _take(self, request: Request) -> Element | None:
        if request.kind != "set":
            raise stanza_error("bad-request", "an ack is an IQ of type set")
        try:
            ack = parse_ack(request.payload)
        except InvalidError as error:
            raise stanza_error("bad-request", str(error)) from error
        for name, seq in ack.upto.items():
            self._check_published(name, seq)
        upto = {name: await self._sent(name, seq) for name, seq in ack.upto.items()}
        crashpoints.at("acked")
        await self._keeper.notice(upto)
        progress = self._keeper.acknowledge(upto)
        self._acknowledged(progress=progress, again=ack.again)
        return None

    def _check_published(self, name: str, seq: int) -> None:
        """All numbers of this run are known here; those of runs before, `_sent` looks at."""
        if name == self._keeper.epoch and seq > self._line.attempted:
            _LOGGER.warning("an ack of %s.%d, which was never published, was refused", name, seq)
            raise stanza_error("not-acceptable", f"number {seq} of epoch {name} was never published")

    async def _sent(self, name: str, seq: int) -> int:
        """Up to where an ack of an earlier run counts: no reading goes that was never sent."""
        epoch = self._keeper.epoch_by_name(name)
        if name == self._keeper.epoch or epoch is None or not epoch.last or seq <= epoch.attempted:
            return seq
        last = min(place_of(epoch.id, seq), epoch.last)
        unsent = await self._keeper.page(place_of(epoch.id, epoch.attempted + 1), last, 1)
        if not unsent:
            return seq
        sent = seq_of(unsent[0].place) - 1
        _LOGGER.warning("an ack of %s.%d counts up to %d: what follows was not sent yet", name, seq, sent)
        return sent
