"""Presence: announce, follow, admit."""

import asyncio
from collections.abc import Callable

from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid
from iotxmpp.link import Item, Link, Presence
from tests.contract.world import ON_ONE_LOOP, Collected, World, is_down, is_up, payload, severed, text_of

pytestmark = ON_ONE_LOOP


def admitting(*accounts: Account) -> Callable[[Link], None]:
    """Done to a link before it is entered: it admits these accounts."""
    jids = {account.jid for account in accounts}
    return lambda link: link.admit(jids.__contains__)


def says(text: str) -> Callable[[Presence], bool]:
    """Wants an available presence with this text."""
    return lambda presence: presence.available and presence.text == text


def gone(jid: str) -> Callable[[Presence], bool]:
    """Wants the unavailable presence of a full JID."""
    return lambda presence: not presence.available and presence.sender == jid


async def watching(follower: Link) -> Collected[Presence]:
    """What a follower sees from now on."""
    seen: Collected[Presence] = Collected()
    follower.on_presence(seen)
    return seen


async def followed_device(world: World) -> tuple[Link, Link, Collected[Presence]]:
    """A device, one that follows it, and what that one sees; the device was seen once."""
    account = await world.backend.account("follower")
    follower = await world.enter(account)
    device = await world.join("device", before=admitting(account))
    seen = await watching(follower)
    await device.announce(Presence(text="first"))
    await follower.follow(bare_jid(device.jid))
    await seen.until(says("first"))
    return device, follower, seen


def assert_nothing_seen(seen: Collected[Presence], device: Link) -> None:
    """A server may say that there is nothing to see."""
    of_device = [it for it in seen.all if bare_jid(it.sender) == bare_jid(device.jid)]
    assert [it for it in of_device if it.available or it.text or it.extensions] == []


async def everything_so_far_arrived(world: World, sender: Link, receiver: Link) -> None:
    """Waits for an item that was published after all else; handlers run in the order of arrival."""
    node = await world.node(sender, [receiver])
    items: Collected[Item] = Collected()
    await receiver.subscribe(node, items)
    await sender.publish(node, payload(), item_id="barrier")
    await items.count(1)


async def test_a_follower_that_is_admitted_sees_the_presence(world: World) -> None:
    device, _, seen = await followed_device(world)
    presence = await seen.until(says("first"))
    assert presence.sender == device.jid
    await device.announce(Presence(text="second"))
    assert (await seen.until(says("second"))).sender == device.jid


async def test_the_sender_is_a_full_jid(world: World) -> None:
    device, follower = await world.join("device"), await world.join("follower")
    seen = await watching(follower)
    await follower.follow(bare_jid(device.jid))
    await everything_so_far_arrived(world, device, follower)  # refused
    device.admit(lambda jid: jid == bare_jid(follower.jid))
    await follower.follow(bare_jid(device.jid))
    await device.announce(Presence(text="here"))
    await seen.until(says("here"))
    await follower.unfollow(bare_jid(device.jid))
    await everything_so_far_arrived(world, follower, device)
    await everything_so_far_arrived(world, device, follower)
    assert [it for it in seen.all if "/" not in it.sender] == []


async def test_show_text_and_extensions_arrive(world: World) -> None:
    device, _, seen = await followed_device(world)
    extensions = (payload("one & <two>", n="1"), payload("three"))
    await device.announce(Presence(show="dnd", text="busy & <tired> ü", extensions=extensions))
    presence = await seen.until(says("busy & <tired> ü"))
    assert presence.show == "dnd"
    ours = [it for it in presence.extensions if it.tag == payload().tag]
    assert [text_of(it) for it in ours] == ["one & <two>", "three"]
    assert ours[0].get("n") == "1"


async def test_our_own_extensions_stay_ours(world: World) -> None:
    device, _, seen = await followed_device(world)
    extension = payload("as announced")
    await device.announce(Presence(text="second", extensions=(extension,)))
    extension.text = "changed later"
    presence = await seen.until(says("second"))
    assert [text_of(it) for it in presence.extensions if it.tag == payload().tag] == ["as announced"]


async def test_who_is_not_admitted_sees_nothing(world: World) -> None:
    admitted = await world.backend.account("admitted")
    follower, stranger = await world.enter(admitted), await world.join("stranger")
    device = await world.join("device", before=admitting(admitted))
    seen, by_stranger = await watching(follower), await watching(stranger)
    for link in (stranger, follower):
        await link.follow(bare_jid(device.jid))
    await device.announce(Presence(text="private"))
    await seen.until(says("private"))
    await everything_so_far_arrived(world, device, stranger)
    assert_nothing_seen(by_stranger, device)


async def test_nobody_is_admitted_until_admit_is_called(world: World) -> None:
    device, follower = await world.join("device"), await world.join("follower")
    seen = await watching(follower)
    await follower.follow(bare_jid(device.jid))
    await device.announce(Presence(text="private"))
    await everything_so_far_arrived(world, device, follower)
    assert_nothing_seen(seen, device)
    device.admit(lambda jid: jid == bare_jid(follower.jid))  # what waited for this is decided by it
    await seen.until(says("private"))


async def test_a_session_that_decides_nothing_leaves_it_to_another_one(world: World) -> None:
    asking, asked = await world.backend.account("follower"), await world.backend.account("device")
    follower = await world.enter(asking)
    seen = await watching(follower)
    silent = await world.enter(asked)
    await follower.follow(asked.jid)
    await everything_so_far_arrived(world, silent, follower)
    deciding = await world.enter(asked, before=admitting(asking))
    await deciding.announce(Presence(text="decided"))
    assert (await seen.until(says("decided"))).sender == deciding.jid
    late = await world.join("late")
    seen_late = await watching(late)
    deciding.admit(lambda jid: jid in {asking.jid, bare_jid(late.jid)})
    await late.follow(asked.jid)
    await seen_late.until(says("decided"))


async def test_what_nobody_decided_waits_for_the_next_session(world: World) -> None:
    asking, asked = await world.backend.account("follower"), await world.backend.account("device")
    follower = await world.enter(asking)
    seen = await watching(follower)
    async with world.backend.link(asked) as silent:
        await follower.follow(asked.jid)
        await everything_so_far_arrived(world, silent, follower)
    deciding = await world.enter(asked, before=admitting(asking))
    await deciding.announce(Presence(text="decided"))
    await seen.until(says("decided"))


async def test_an_account_sees_its_own_other_sessions(world: World) -> None:
    account = await world.backend.account("twice")
    first = await world.enter(account)
    await first.announce(Presence(text="first", extensions=(payload("marked"),)))
    seen: Collected[Presence] = Collected()
    by_first = await watching(first)
    async with world.backend.link(account) as second:
        by_second = await watching(second)
        await second.announce(Presence(available=False))
        await second.announce(Presence(text="second"))
        presence = await by_second.until(says("first"))
        assert presence.sender == first.jid
        assert [text_of(it) for it in presence.extensions if it.tag == payload().tag] == ["marked"]
        full = second.jid
        assert (await by_first.until(says("second"))).sender == full
        so_far = len(by_first.all)
    await by_first.until(gone(full), since=so_far)
    await world.enter(account, before=lambda link: _watch(link, seen))
    assert (await seen.until(says("first"))).sender == first.jid  # told to who comes, without asking


async def test_who_was_refused_may_ask_again(world: World) -> None:
    device, follower = await world.join("device", before=admitting()), await world.join("follower")
    seen = await watching(follower)
    await follower.follow(bare_jid(device.jid))
    await device.announce(Presence(text="now admitted"))
    await everything_so_far_arrived(world, device, follower)
    device.admit(lambda jid: jid == bare_jid(follower.jid))
    await follower.follow(bare_jid(device.jid))
    await seen.until(says("now admitted"))


async def test_a_rule_that_raises_admits_nobody_and_disturbs_nothing(world: World) -> None:
    follower = await world.join("follower")

    def bad(jid: str) -> bool:
        raise RuntimeError(f"cannot decide on {jid}")

    device = await world.join("device", before=lambda link: link.admit(bad))
    seen = await watching(follower)
    await follower.follow(bare_jid(device.jid))
    await device.announce(Presence(text="private"))
    await everything_so_far_arrived(world, device, follower)
    assert_nothing_seen(seen, device)
    assert device.state.up


async def test_a_request_to_follow_waits_for_an_account_that_is_offline(world: World) -> None:
    asking, asked = await world.backend.account("follower"), await world.backend.account("device")
    follower = await world.enter(asking)
    seen = await watching(follower)
    await follower.follow(asked.jid)
    device = await world.enter(asked, before=admitting(asking))
    await device.announce(Presence(text="here now"))
    assert (await seen.until(says("here now"))).sender == device.jid


async def test_the_server_remembers_whom_we_follow(world: World) -> None:
    asking = await world.backend.account("follower")
    device = await world.join("device", before=admitting(asking))
    await device.announce(Presence(text="still here"))
    async with world.backend.link(asking) as follower:
        seen = await watching(follower)
        await follower.follow(bare_jid(device.jid))
        await seen.until(says("still here"))
    again: Collected[Presence] = Collected()
    await world.enter(asking, before=lambda link: _watch(link, again))
    await again.until(says("still here"))


def _watch(link: Link, seen: Collected[Presence]) -> None:
    link.on_presence(seen)


async def test_following_again_is_harmless(world: World) -> None:
    device, follower, seen = await followed_device(world)
    await follower.follow(bare_jid(device.jid))
    await device.announce(Presence(text="second"))
    await seen.until(says("second"))


async def test_every_session_of_an_account_is_seen(world: World) -> None:
    asking, asked = await world.backend.account("follower"), await world.backend.account("device")
    follower = await world.enter(asking)
    seen = await watching(follower)
    first = await world.enter(asked, before=admitting(asking))
    second = await world.enter(asked, before=admitting(asking))
    await first.announce(Presence(text="first"))
    await second.announce(Presence(text="second"))
    await follower.follow(asked.jid)
    assert (await seen.until(says("first"))).sender == first.jid
    assert (await seen.until(says("second"))).sender == second.jid


async def test_presence_is_announced_again_at_a_new_session(world: World) -> None:
    device, _, seen = await followed_device(world)
    await device.announce(Presence(show="away", text="remembered", extensions=(payload("kept"),)))
    await seen.until(says("remembered"))
    old, so_far = device.jid, len(seen.all)
    await severed(world.backend.renew, device)
    await seen.until(gone(old), since=so_far)
    again = await seen.until(says("remembered"), since=so_far)
    assert again.sender == device.jid
    assert again.show == "away"
    assert [text_of(it) for it in again.extensions if it.tag == payload().tag] == ["kept"]


async def test_presence_announced_before_entering_is_sent(world: World) -> None:
    asking, asked = await world.backend.account("follower"), await world.backend.account("device")
    follower = await world.enter(asking)
    seen = await watching(follower)
    link = world.backend.link(asked)
    link.admit(lambda jid: jid == asking.jid)
    await link.announce(Presence(text="from the start"))
    await follower.follow(asked.jid)
    async with link:
        await seen.until(says("from the start"))


async def test_while_down_only_the_newest_presence_is_remembered(world: World) -> None:
    device, _, seen = await followed_device(world)
    await world.backend.hold(device)
    await is_down(device)
    for text in ("older", "newest"):
        await device.announce(Presence(text=text))
    await world.backend.release(device)
    await is_up(device)
    await seen.until(says("newest"))
    assert [it for it in seen.all if it.text == "older"] == []


async def test_a_follower_sees_unavailable_when_the_link_closes(world: World) -> None:
    asking, asked = await world.backend.account("follower"), await world.backend.account("device")
    follower = await world.enter(asking)
    seen = await watching(follower)
    link = world.backend.link(asked)
    link.admit(lambda jid: jid == asking.jid)
    async with link:
        full = link.jid
        await link.announce(Presence(text="here"))
        await follower.follow(asked.jid)
        await seen.until(says("here"))
    await seen.until(gone(full))


async def test_unavailable_can_be_announced_with_extensions(world: World) -> None:
    device, _, seen = await followed_device(world)
    await device.announce(Presence(available=False, text="good night", extensions=(payload("asleep"),)))
    presence = await seen.until(gone(device.jid))
    assert presence.text == "good night"
    assert [text_of(it) for it in presence.extensions if it.tag == payload().tag] == ["asleep"]
    await device.announce(Presence(text="awake"))
    await seen.until(says("awake"))


async def test_nothing_is_made_up_when_the_followers_link_goes_down(world: World) -> None:
    device, follower, seen = await followed_device(world)
    await severed(world.backend.cut, follower)
    await device.announce(Presence(text="after the cut"))
    await seen.until(says("after the cut"))
    assert all(presence.available for presence in seen.all if presence.sender == device.jid)


async def test_a_follower_with_a_new_session_sees_who_is_there(world: World) -> None:
    _, follower, seen = await followed_device(world)
    so_far = len(seen.all)
    await severed(world.backend.renew, follower)
    await seen.until(says("first"), since=so_far)


async def test_who_unfollows_sees_nothing_more(world: World) -> None:
    device, follower, seen = await followed_device(world)
    await follower.unfollow(bare_jid(device.jid))
    await everything_so_far_arrived(world, follower, device)  # the server has taken the request
    await device.announce(Presence(text="unseen"))
    await everything_so_far_arrived(world, device, follower)
    assert [presence for presence in seen.all if presence.text == "unseen"] == []


async def test_a_cancelled_presence_handler_gets_nothing_more(world: World) -> None:
    device, follower, seen = await followed_device(world)
    ended: Collected[Presence] = Collected()
    cancel = follower.on_presence(ended)
    cancel()
    cancel()
    await device.announce(Presence(text="second"))
    await seen.until(says("second"))
    assert ended.all == []


async def test_a_raising_presence_handler_disturbs_nothing(world: World) -> None:
    device, follower, _ = await followed_device(world)

    async def bad(presence: Presence) -> None:
        raise RuntimeError("a presence handler that raises")

    later: Collected[Presence] = Collected()
    follower.on_presence(bad)
    follower.on_presence(later)
    for text in ("second", "third"):
        await device.announce(Presence(text=text))
        await later.until(says(text))
    assert follower.state.up


async def test_items_and_presences_share_one_order(world: World) -> None:
    device, follower, _ = await followed_device(world)
    running, most = 0, 0
    node = await world.node(device, [follower])
    done: Collected[str] = Collected()

    async def handle(what: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        done.add(what)

    async def on_item(item: Item) -> None:
        await handle(item.id)

    async def on_presence(presence: Presence) -> None:
        await handle(presence.text)

    await follower.subscribe(node, on_item)
    follower.on_presence(on_presence)
    for number in range(5):
        await device.announce(Presence(text=f"presence {number}"))
        await device.publish(node, payload(), item_id=f"item {number}")
    await done.until("item 4".__eq__)
    await done.until("presence 4".__eq__)
    assert most == 1


async def test_features_can_be_advertised_at_any_time(world: World) -> None:
    device = await world.join("device", before=lambda link: link.advertise("urn:test:a", "urn:test:b"))
    device.advertise("urn:test:c")
    await device.announce(Presence(text="still well"))
    assert await device.items(await world.node(device)) == []
