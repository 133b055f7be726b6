"""What the server says of its limits (XEP-0478), and that a link keeps to it."""

from iotxmpp.link import LinkLimits
from tests.contract.backend import Backend
from tests.contract.world import ON_ONE_LOOP, World, severed

pytestmark = ON_ONE_LOOP

LEAST = 10_000
"""Bytes of a stanza that every server takes (RFC 6120 section 13.12)."""


async def test_no_limits_are_known_before_the_first_session(backend: Backend) -> None:
    link = backend.link(await backend.account("device"))
    assert link.limits == LinkLimits()


async def test_a_session_has_limits_that_are_of_use_or_none(backend: Backend, world: World) -> None:
    link = await world.join("device")
    said = link.limits
    assert said.stanza_bytes is None or said.stanza_bytes >= LEAST
    await severed(backend.renew, link)
    assert link.limits == said, "the same server says the same"
