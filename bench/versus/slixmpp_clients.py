"""What a user of slixmpp writes by hand: a plain client that publishes and gets JSON, one reading an item."""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from raw_slixmpp import TIMEOUT, RawClient

JSON_TAG = "{urn:xmpp:json:0}json"


class PlainClient(RawClient):
    """A plain client."""

    async def publish_json(self, text: str) -> None:
        """Publishes one item; returns when the service has accepted it."""
        payload = Element(JSON_TAG)
        payload.text = text
        await self.plugin["xep_0060"].publish(  # type: ignore[no-untyped-call]  # slixmpp has no types here
            self._where["service"], self._where["node"], payload=payload, timeout=TIMEOUT
        )

    def on_json(self, handler: Callable[[str], Any]) -> None:
        """Gives the text of each item to the handler."""
        self.on_item(lambda payload: handler(payload.text or ""))
