"""The provisioner: accounts and nodes."""

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid
from iotxmpp.errors import ConflictError, CredentialsError, ForbiddenError
from iotxmpp.link import Item, Presence
from tests.contract.world import NO_SUCH_NODE, ON_ONE_LOOP, Collected, World, payload, policy, text_of

pytestmark = ON_ONE_LOOP


def with_password(account: Account, password: str) -> Account:
    """The same account with another password."""
    return account.model_copy(update={"password": SecretStr(password)})


async def test_creating_an_account_again_is_refused_and_changes_nothing(world: World) -> None:
    account = await world.backend.account("device")
    with pytest.raises(ConflictError, match=f"the account {account.jid} exists"):
        await world.backend.provisioner.create_account(account.jid, "another-5e77")
    async with world.backend.link(account) as link:
        assert link.state.up


async def test_an_account_that_is_absent_can_be_renewed(world: World) -> None:
    account = await world.backend.account("device")
    await world.backend.provisioner.delete_account(account.jid)
    await world.backend.provisioner.create_account(
        account.jid, account.password.get_secret_value(), renew=True
    )
    async with world.backend.link(account) as link:
        assert link.state.up


async def test_renewing_an_account_sets_its_password(world: World) -> None:
    account = await world.backend.account("device")
    await world.backend.provisioner.create_account(account.jid, "another-5e77", renew=True)
    with pytest.raises(CredentialsError):
        await world.backend.link(account).__aenter__()
    async with world.backend.link(with_password(account, "another-5e77")) as link:
        assert link.state.up


async def test_a_deleted_account_cannot_log_in(world: World) -> None:
    account = await world.backend.account("device")
    await world.backend.provisioner.delete_account(account.jid)
    with pytest.raises(CredentialsError):
        await world.backend.link(account).__aenter__()


async def test_deleting_an_absent_account_is_harmless(world: World) -> None:
    account = await world.backend.account("device")
    for _ in range(2):
        await world.backend.provisioner.delete_account(account.jid)


async def test_a_deleted_account_can_be_created_anew(world: World) -> None:
    account = await world.backend.account("device")
    await world.backend.provisioner.delete_account(account.jid)
    await world.backend.provisioner.create_account(account.jid, "another-5e77")
    async with world.backend.link(with_password(account, "another-5e77")) as link:
        await link.announce(Presence(text="anew"))
        assert link.state.up


async def test_a_created_node_is_listed_until_it_is_deleted(world: World) -> None:
    provisioner, service = world.backend.provisioner, world.backend.service
    node = await world.node(await world.join("device"))
    assert node in await provisioner.nodes(service)
    await provisioner.delete_node(node)
    assert node not in await provisioner.nodes(service)


async def test_a_reader_is_subscribed_by_the_provisioner(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device)
    assert await reader.nodes(world.backend.service) == []
    await world.backend.provisioner.create_node(node, policy(device, [reader]))
    assert await reader.nodes(world.backend.service) == [node]
    await world.backend.provisioner.create_node(node, policy(device))
    assert await reader.nodes(world.backend.service) == []


async def test_creating_a_node_again_keeps_its_items(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    await device.publish(node, payload("kept"), item_id="1")
    await world.backend.provisioner.create_node(node, policy(device, [reader]))
    assert [text_of(item.payload) for item in await reader.items(node)] == ["kept"]


async def test_creating_a_node_again_keeps_its_subscriptions(world: World) -> None:
    device, reader = await world.join("device"), await world.join("reader")
    node = await world.node(device, [reader])
    got: Collected[Item] = Collected()
    await reader.subscribe(node, got)
    await world.backend.provisioner.create_node(node, policy(device, [reader], keep=3))
    await device.publish(node, payload(), item_id="1")
    await got.count(1)


async def test_creating_a_node_again_admits_a_new_reader(world: World) -> None:
    device, reader, other = [await world.join(name) for name in ("device", "reader", "other")]
    node = await world.node(device, [reader])
    await device.publish(node, payload(), item_id="1")
    await world.backend.provisioner.create_node(node, policy(device, [reader, other]))
    assert [item.id for item in await other.items(node)] == ["1"]
    assert [item.id for item in await reader.items(node)] == ["1"]


async def test_creating_a_node_again_shuts_out_who_is_no_reader_any_more(world: World) -> None:
    device, reader, other = [await world.join(name) for name in ("device", "reader", "other")]
    node = await world.node(device, [reader, other])
    got, by_other = Collected[Item](), Collected[Item]()
    await reader.subscribe(node, got)
    await other.subscribe(node, by_other)
    await world.backend.provisioner.create_node(node, policy(device, [other]))
    with pytest.raises(ForbiddenError):
        await reader.items(node)
    with pytest.raises(ForbiddenError):
        await reader.subscribe(node, got)
    await device.publish(node, payload(), item_id="secret")
    await by_other.count(1)
    barrier = await world.node(device, [reader])
    after: Collected[Item] = Collected()
    await reader.subscribe(barrier, after)
    await device.publish(barrier, payload(), item_id="barrier")
    await after.count(1)
    assert got.all == []


async def test_creating_a_node_again_replaces_the_publisher(world: World) -> None:
    old, new = await world.join("old"), await world.join("new")
    node = await world.node(old)
    await world.backend.provisioner.create_node(node, policy(new))
    with pytest.raises(ForbiddenError):
        await old.publish(node, payload(), item_id="1")
    await new.publish(node, payload(), item_id="2")
    assert [item.id for item in await new.items(node, newest=10)] == ["2"]


async def test_creating_a_node_again_changes_how_many_items_are_kept(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device, keep=1)
    await world.backend.provisioner.create_node(node, policy(device, keep=3))
    for number in range(5):
        await device.publish(node, payload(), item_id=str(number))
    assert [item.id for item in await device.items(node, newest=10)] == ["2", "3", "4"]


async def test_a_deleted_node_is_gone_with_its_items(world: World) -> None:
    device = await world.join("device")
    node = await world.node(device)
    await device.publish(node, payload(), item_id="1")
    await world.backend.provisioner.delete_node(node)
    with pytest.raises(NO_SUCH_NODE):
        await device.publish(node, payload(), item_id="2")
    await world.backend.provisioner.create_node(node, policy(device))
    assert await device.items(node, newest=10) == []


async def test_deleting_an_absent_node_is_harmless(world: World) -> None:
    node = await world.node(await world.join("device"))
    for _ in range(2):
        await world.backend.provisioner.delete_node(node)


async def test_an_accounts_node_may_be_created_while_it_is_offline(world: World) -> None:
    account = await world.backend.account("device")
    async with world.backend.link(account) as link:
        assert bare_jid(link.jid) == account.jid
    node = await world.node(link)
    async with world.backend.link(account) as again:
        await again.publish(node, payload(), item_id="1")
        assert [item.id for item in await again.items(node)] == ["1"]
