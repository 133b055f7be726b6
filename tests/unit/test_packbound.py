"""How large a pack may be: what the server says, what it refused, and how the links tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.addresses import NodeAddress
from iotxmpp.agent.packbound import ENVELOPE, LEAST_BYTES, MOST_BYTES, PackBound, is_too_large
from iotxmpp.errors import InvalidError, LinkDownError, NoAnswerError, StanzaError, stanza_error
from iotxmpp.link import LinkLimits
from iotxmpp.memory import MemoryServer
from iotxmpp.payloads import json_element
from iotxmpp.provisioning import NodePolicy
from iotxmpp.xmpp import limits
from tests.unit.controller_world import account

TOO_BIG = "{http://jabber.org/protocol/pubsub#errors}payload-too-big"


def test_a_server_that_says_nothing_gets_what_the_smallest_usual_one_takes() -> None:
    bound = PackBound()
    bound.session(LinkLimits())
    assert bound.bytes == MOST_BYTES < 64 * 1024


@pytest.mark.parametrize(
    ("said", "expected"),
    [(262_144, MOST_BYTES), (30_000, 30_000 - ENVELOPE), (10_000, LEAST_BYTES), (1, LEAST_BYTES)],
)
def test_what_a_server_says_is_kept_to(said: int, expected: int) -> None:
    bound = PackBound()
    bound.session(LinkLimits(stanza_bytes=said))
    assert bound.bytes == expected


def test_a_refusal_halves_what_is_sent_from_then_on() -> None:
    bound = PackBound()
    bound.refused(50_000)
    assert bound.bytes == 25_000
    bound.session(LinkLimits())  # it says no other limits
    assert bound.bytes == 25_000
    bound.refused(20_000)
    assert bound.bytes == 10_000
    bound.refused(10_000)
    assert bound.bytes == LEAST_BYTES
    bound.session(LinkLimits(stanza_bytes=40_000))
    assert bound.bytes == 40_000 - ENVELOPE


def test_a_refusal_does_not_shrink_below_what_was_taken() -> None:
    bound = PackBound()
    bound.accepted(40_000)
    bound.refused(50_000)
    assert bound.bytes == 40_000
    bound.refused(40_000)  # not any more
    assert bound.bytes == 20_000


def test_a_small_pack_is_not_refused_for_its_size() -> None:
    bound = PackBound()
    bound.refused(LEAST_BYTES)
    assert bound.bytes == MOST_BYTES


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300_000))))
def test_the_bound_only_shrinks_and_stays_of_use(course: list[tuple[bool, int]]) -> None:
    bound = PackBound()
    for taken, size in course:
        before = bound.bytes
        (bound.accepted if taken else bound.refused)(size)
        assert LEAST_BYTES <= bound.bytes <= before


@given(st.integers(LEAST_BYTES, 300_000))
def test_a_server_that_does_not_say_its_limit_is_found_out(limit: int) -> None:
    bound = PackBound(most=300_000)
    for _ in range(6):
        size = bound.bytes
        (bound.accepted if size <= limit else bound.refused)(size)
    assert limit / 2 <= bound.bytes <= limit or bound.bytes == LEAST_BYTES


@pytest.mark.parametrize(
    ("error", "too_large"),
    [
        (stanza_error("policy-violation"), True),
        (StanzaError("not-acceptable", detail=TOO_BIG), True),
        (stanza_error("not-acceptable"), False),
        (LinkDownError("the link went down before the answer: policy-violation"), True),
        (LinkDownError("the link went down before the answer: conflict"), False),
        (NoAnswerError("policy-violation"), False),
        (InvalidError("x: policy-violation"), False),
    ],
)
def test_what_says_that_a_stanza_was_too_large(error: Exception, *, too_large: bool) -> None:
    assert is_too_large(error) is too_large


def test_the_margin_is_that_of_the_link() -> None:
    assert (ENVELOPE, LEAST_BYTES + ENVELOPE) == (limits.ENVELOPE, limits.LEAST)


async def test_a_server_in_memory_says_what_a_test_tells_it() -> None:
    server = MemoryServer()
    await server.create_account("hall@localhost", "secret")
    node = NodeAddress(service=server.service, node="iot/hall/readings")
    await server.create_node(node, NodePolicy(publisher="hall@localhost", readers=(), keep=0))
    link = server.link(account("hall@localhost"))
    assert link.limits == LinkLimits()
    server.say_limits(LinkLimits(stanza_bytes=20_000))
    async with link:
        assert link.limits == LinkLimits(stanza_bytes=20_000)
        with pytest.raises(InvalidError, match="20000"):
            await link.publish(node, json_element("x" * 20_000), item_id="a.1")
        with pytest.raises(InvalidError, match="20000"):
            await link.call(link.jid, json_element("x" * 20_000))
        await link.publish(node, json_element("x" * 10_000), item_id="a.1")
        server.say_limits(LinkLimits())
        assert link.limits == LinkLimits(stanza_bytes=20_000), "the session goes on as it began"
        server.drop(link.jid, reason="policy-violation", back_after=None)
        with pytest.raises(LinkDownError) as caught:
            await link.publish(node, json_element("x"), item_id="a.1")
        assert is_too_large(caught.value)
        server.restore(link.jid)
        await link.publish(node, json_element("x" * 20_000), item_id="a.1")
        assert link.limits == LinkLimits()
