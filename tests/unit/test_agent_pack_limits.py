"""An agent keeps to what its server takes, whether that says so or not."""

import asyncio
import random
from collections import Counter
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.addresses import NodeAddress
from iotxmpp.agent import publisher
from iotxmpp.errors import LinkDownError, stanza_error
from iotxmpp.link import Link, LinkLimits
from iotxmpp.memory import MemoryLink
from iotxmpp.payloads import wire_size
from tests.unit.agent_house import House, account, until

TAKEN = 20_000
TEXTS = [random.Random(n).randbytes(1000).hex() for n in range(60)]  # noqa: S311  # no secrets


class StrictLink(MemoryLink):
    """Its server takes so many bytes and does not say so; it ends the session, or refuses."""

    server: Any = None
    ends = True

    def __init__(self, *of: Any) -> None:  # noqa: ANN401  # what any link is made of
        super().__init__(*of)
        self.sent: list[int] = []

    @property
    def refused(self) -> list[int]:
        """The sizes of what was too large."""
        return [size for size in self.sent if size > TAKEN]

    async def publish(self, node: NodeAddress, payload: Element, **more: Any) -> None:  # noqa: ANN401  # passed on
        size = wire_size(payload)
        if node.node.endswith("/readings"):
            self.sent.append(size)
        if size <= TAKEN:
            await super().publish(node, payload, **more)
        elif self.ends:
            self.server.drop("greenhouse@example.org", reason="policy-violation", back_after=0.01)
            raise LinkDownError("the link went down before the answer: policy-violation")
        else:
            raise stanza_error("policy-violation")


@pytest.fixture
def strict_link(house: House, monkeypatch: pytest.MonkeyPatch) -> StrictLink:
    link = StrictLink(account("greenhouse"), house.server._hub)
    link.server = house.server
    house.server._links.append(link)
    monkeypatch.setattr(publisher, "AGAIN", 0.005)

    def make(_: object) -> Link:
        return link

    monkeypatch.setattr("iotxmpp.agent.agent.open_link", make)
    return link


async def all_arrive(house: House) -> None:
    """Long texts that waited for the link, then as many again."""
    agent = house.agent()
    agent._outbox = agent._outbox.model_copy(update={"replay_rate": 10_000.0, "replay_delay": 0.0})
    agent.channel("note", type="str")
    async with agent:
        await until(lambda: bool(house.abouts))
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("note", text) for text in TEXTS))
        house.server.restore("greenhouse@example.org")
        await until(lambda: agent.status.buffered == 0, 20)
        house.server.drop("greenhouse@example.org", back_after=None)
        await asyncio.gather(*(agent.publish("note", f"{text}!") for text in TEXTS))
        house.server.restore("greenhouse@example.org")
        await until(lambda: agent.status.buffered == 0, 20)
        assert agent.status.dead == 0
    assert Counter(house.values("note")) == Counter([*TEXTS, *(f"{text}!" for text in TEXTS)])


@pytest.mark.parametrize("ends", [True, False])
async def test_a_server_that_does_not_say_what_it_takes_refuses_a_few_times(
    house: House, strict_link: StrictLink, *, ends: bool
) -> None:
    strict_link.ends = ends
    await all_arrive(house)
    assert 1 <= len(strict_link.refused) <= 8
    last = max(place for place, size in enumerate(strict_link.sent) if size > TAKEN)
    assert last < len(strict_link.sent) / 2, "later packs are cut smaller from the start"


async def test_a_server_that_says_what_it_takes_refuses_nothing(
    house: House, strict_link: StrictLink
) -> None:
    house.server.say_limits(LinkLimits(stanza_bytes=TAKEN))
    await all_arrive(house)
    assert strict_link.refused == []
    assert max(strict_link.sent) > TAKEN / 4, "they are not cut smaller than need be"


async def test_packs_are_as_large_as_usual_where_the_server_takes_them(
    house: House, strict_link: StrictLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.TAKEN", 10**9)
    await all_arrive(house)
    assert 30_000 < max(strict_link.sent) <= 60_000
