"""Presence: sight that was given is taken again."""

from iotxmpp.link import Presence
from tests.contract.test_presence import everything_so_far_arrived, followed_device, gone, says, watching
from tests.contract.world import ON_ONE_LOOP, World

pytestmark = ON_ONE_LOOP


async def test_who_is_admitted_no_more_loses_sight_at_the_next_session(world: World) -> None:
    kept, lost = await world.backend.account("kept"), await world.backend.account("lost")
    asked = await world.backend.account("device")
    keeping, losing = await world.enter(kept), await world.enter(lost)
    by_kept, by_lost = await watching(keeping), await watching(losing)
    async with world.backend.link(asked) as before:
        before.admit({kept.jid, lost.jid}.__contains__)
        await before.announce(Presence(text="to both"))
        for link in (keeping, losing):
            await link.follow(asked.jid)
        await by_kept.until(says("to both"))
        await by_lost.until(says("to both"))
    async with world.backend.link(asked) as lenient:  # a rule alone takes nothing away
        lenient.admit({kept.jid}.__contains__)
        await lenient.announce(Presence(text="lenient"))
        await by_lost.until(says("lenient"))
    device = await world.enter(asked, before=lambda link: link.admit({kept.jid}.__contains__, withdraw=True))
    await device.announce(Presence(text="to one"))
    await by_kept.until(says("to one"))
    await everything_so_far_arrived(world, device, losing)
    assert [each for each in by_lost.all if each.sender == device.jid and each.available] == []


async def test_sight_is_taken_at_once_where_the_rule_comes_later(world: World) -> None:
    device, _, seen = await followed_device(world)

    def bad(jid: str) -> bool:
        raise RuntimeError(f"cannot decide on {jid}")

    device.admit(bad, withdraw=True)
    await device.announce(Presence(text="nothing was taken"))
    await seen.until(says("nothing was taken"))
    device.admit(lambda _jid: False, withdraw=True)
    await device.announce(Presence(text="private"))
    await seen.until(gone(device.jid))
    assert [each for each in seen.all if each.text == "private"] == []
