"""What cannot travel raises before anything is sent, and the link stays up."""

import pytest
import pytest_asyncio

from iotxmpp.addresses import NodeAddress
from iotxmpp.errors import InvalidError
from iotxmpp.link import Item, Link, LinkState, Presence, Request
from tests.contract.world import BAD_TEXTS, ON_ONE_LOOP, TOO_LARGE, Collected, World, payload, text_of

pytestmark = ON_ONE_LOOP


class Witness:
    """A link that must stay up, and a reader who must see nothing of what was refused."""

    def __init__(self, link: Link, reader: Link, node: NodeAddress) -> None:
        self.link = link
        self.reader = reader
        self.node = node
        self.states: Collected[LinkState] = Collected()
        self.items: Collected[Item] = Collected()
        self.requests: Collected[str] = Collected()

    async def swears(self) -> None:
        """Nothing was sent, and all is well."""
        await self.link.call(self.reader.jid, payload("good"))
        await self.link.publish(self.node, payload(), item_id="good")
        await self.items.until(lambda item: item.id == "good")
        assert [item.id for item in self.items.all] == ["good"]
        assert self.requests.all == ["good"]
        assert self.states.all == []


@pytest_asyncio.fixture(loop_scope="session")
async def witness(world: World) -> Witness:
    link, reader = await world.join("device"), await world.join("reader")
    witness = Witness(link, reader, await world.node(link, [reader]))

    async def serve(request: Request) -> None:
        witness.requests.add(text_of(request.payload))

    reader.serve(payload().tag, serve)
    await reader.subscribe(witness.node, witness.items)
    link.on_state(witness.states.add)
    return witness


async def test_a_payload_that_xml_cannot_carry(witness: Witness) -> None:
    for text in BAD_TEXTS:
        nested = payload()
        nested.append(payload(f"a{text}b"))
        for bad in (payload(f"a{text}b"), payload("good", attribute=text), nested):
            with pytest.raises(InvalidError):
                await witness.link.publish(witness.node, bad, item_id="bad")
            with pytest.raises(InvalidError):
                await witness.link.call(witness.reader.jid, bad)
    await witness.swears()


async def test_an_item_id_that_xml_cannot_carry(witness: Witness) -> None:
    for text in BAD_TEXTS:
        with pytest.raises(InvalidError):
            await witness.link.publish(witness.node, payload(), item_id=f"a{text}b")
    await witness.swears()


async def test_a_presence_that_xml_cannot_carry(witness: Witness) -> None:
    for text in BAD_TEXTS:
        for bad in (Presence(text=f"a{text}b"), Presence(extensions=(payload(f"a{text}b"),))):
            with pytest.raises(InvalidError):
                await witness.link.announce(bad)
    await witness.swears()


async def test_an_attribute_that_is_no_text(witness: Witness) -> None:
    bad = payload()
    bad.attrib["n"] = 7  # type: ignore[assignment]  # the mistake under test
    with pytest.raises(InvalidError):
        await witness.link.publish(witness.node, bad, item_id="bad")
    await witness.swears()


async def test_a_payload_that_is_too_large(witness: Witness) -> None:
    for text in ("x" * TOO_LARGE, "ü" * (TOO_LARGE // 2)):
        for bad in (payload(text), payload("good", attribute=text)):
            with pytest.raises(InvalidError):
                await witness.link.publish(witness.node, bad, item_id="bad")
            with pytest.raises(InvalidError):
                await witness.link.call(witness.reader.jid, bad)
    await witness.swears()


async def test_a_presence_that_is_too_large(witness: Witness) -> None:
    for bad in (Presence(text="x" * TOO_LARGE), Presence(extensions=(payload("x" * TOO_LARGE),))):
        with pytest.raises(InvalidError):
            await witness.link.announce(bad)
    await witness.swears()


async def test_a_payload_of_200_kilobytes_arrives(witness: Witness) -> None:
    await witness.link.publish(witness.node, payload("x" * 200_000), item_id="large")
    item = await witness.items.until(lambda item: item.id == "large")
    assert len(text_of(item.payload)) == 200_000
    assert witness.states.all == []
