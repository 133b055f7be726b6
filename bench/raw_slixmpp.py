"""The floor: what a user of slixmpp would write by hand, without any of iotxmpp.

As a program it is the device's end: it answers requests, and publishes when it is told to.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from orders import Orders
from slixmpp import ClientXMPP
from slixmpp.stanza import Iq
from slixmpp.xmlstream import ElementBase, register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

NAMESPACE = "urn:example:bench"
TIMEOUT = 10


class Noop(ElementBase):
    """The request, and its answer."""

    name = "noop"
    namespace = NAMESPACE
    plugin_attrib = "noop"
    interfaces: ClassVar[set[str]] = set()


register_stanza_plugin(Iq, Noop)


class RawClient(ClientXMPP):
    """A plain client that is online once `start` returns.

    Args:
        where: `jid`, `password`, `host`, `port`, `ca`, `service` and `node`.
    """

    def __init__(self, where: dict[str, Any]) -> None:
        context = ssl.create_default_context(cafile=where["ca"])
        super().__init__(where["jid"], where["password"], ssl_context=context)
        self._where = where
        self.enable_direct_tls = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0060")
        self.register_plugin("xep_0199")
        self.register_handler(Callback("noop", StanzaPath("iq@type=get/noop"), self._answer))
        self._online = asyncio.Event()
        self.add_event_handler("session_start", self._start)

    async def start(self) -> None:
        """Connects."""
        self.connect(self._where["host"], self._where["port"])
        async with asyncio.timeout(TIMEOUT):
            await self._online.wait()

    async def close(self) -> None:
        """Disconnects."""
        await self.disconnect()
        if self._run_out_filters is not None:  # slixmpp lets it run on
            self._run_out_filters.cancel()
            await asyncio.gather(self._run_out_filters, return_exceptions=True)

    async def call(self, to: str) -> None:
        """One request to another session, and its answer."""
        request = self.make_iq_get(ito=to)
        request.enable("noop")
        await request.send(timeout=TIMEOUT)  # type: ignore[no-untyped-call]  # slixmpp has no types here

    async def publish_now(self) -> None:
        """Publishes the moment at which this is called."""
        payload = Element(f"{{{NAMESPACE}}}stamp")
        payload.text = str(time.monotonic_ns())
        await self.plugin["xep_0060"].publish(  # type: ignore[no-untyped-call]  # slixmpp has no types here
            self._where["service"], self._where["node"], payload=payload, timeout=TIMEOUT
        )

    def on_item(self, handler: Callable[[Element], None]) -> None:
        """Gives the payload of each notification to the handler."""

        def notified(message: Any) -> None:  # noqa: ANN401  # slixmpp's own
            handler(message["pubsub_event"]["items"]["item"]["payload"])

        self.add_event_handler("pubsub_publish", notified)

    async def _start(self, _event: object) -> None:
        self.send_presence()
        await self.get_roster()
        self._online.set()

    def _answer(self, request: Any) -> None:  # noqa: ANN401  # slixmpp's own
        request.reply().send()


async def main() -> None:
    """Plays the device."""
    orders = await Orders.open()
    client = RawClient(await orders.identity())
    await client.start()
    orders.ready(str(client.boundjid.full))
    async for _ in orders:
        await client.publish_now()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
