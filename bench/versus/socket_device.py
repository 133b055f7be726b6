"""The publisher by hand: so many items are under way, and for each answer the next goes out."""

import asyncio
import time
from xml.sax.saxutils import escape

from orders import Orders

from versus.obeying import Order, obey
from versus.peer_reading import made
from versus.socket_xmpp import Counted, SocketClient


async def main(*, managed: bool = False) -> None:
    """Plays the publisher."""
    orders = await Orders.open()
    identity = await orders.identity()
    client = SocketClient(identity, managed=managed)
    await client.start()
    answers, errors = Counted(b"<iq "), Counted(b"<error ")
    head = (
        f"<iq type='set' id='p' to='{identity['service']}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        f"<publish node='{identity['node']}'><item id='%d'><json xmlns='urn:xmpp:json:0'>"
    )
    text = escape(made(identity["device"], 21.5).model_dump_json())
    stanza = f"{head}{text}</json></item></publish></pubsub></iq>".encode()

    async def items(order: Order) -> dict[str, float]:
        begun = time.monotonic()
        sent = answered = 0
        due = min(order["window"], order["items"])
        while answered < order["items"]:
            numbers = range(sent, sent + due)
            client.writer.write(b"".join(stanza % number + client.request(number) for number in numbers))
            sent += due
            chunk = await client.read()
            if not chunk or errors(chunk):
                raise RuntimeError(f"the server refuses: {chunk.decode()}")
            answered += answers(chunk)
            due = min(answered + order["window"], order["items"]) - sent
        return {"begun": begun}

    orders.ready(identity["jid"])
    await obey(orders, {"items": items})
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
