"""Devices on a server: added, renewed, removed, and nobody else's account touched."""

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress, device_id
from iotxmpp.errors import (
    ConfigError,
    ConflictError,
    CredentialsError,
    ForbiddenError,
    IotxmppError,
    LinkDownError,
    NotFoundError,
)
from iotxmpp.memory import MemoryServer
from iotxmpp.provisioning import NodePolicy
from iotxmpp.server.devices import add_device, list_devices, remove_device

ADMIN = Account(jid="admin@localhost", password=SecretStr("the administrator's"))
HOUSE = Account(jid="house@localhost", password=SecretStr("the controller's"))
GREENHOUSE = device_id("greenhouse")


@pytest.fixture
async def server() -> MemoryServer:
    server = MemoryServer()
    for account in (ADMIN, HOUSE):
        await server.create_account(account.jid, account.password.get_secret_value())
    return server


async def can_log_in(server: MemoryServer, account: Account) -> bool:
    try:
        async with server.link(account):
            return True
    except CredentialsError:
        return False


async def test_a_device_gets_three_nodes_and_an_account(server: MemoryServer) -> None:
    account = await add_device(server, ADMIN, GREENHOUSE, controllers=("House@localhost/desk",))
    assert (account.jid, account.controllers) == ("greenhouse@localhost", (HOUSE.jid,))
    assert await can_log_in(server, account)
    async with server.link(HOUSE) as house:
        assert len(await house.nodes(server.service)) == 3
    assert await list_devices(server, server.service) == [GREENHOUSE]


async def test_a_device_that_exists_is_refused(server: MemoryServer) -> None:
    account = await add_device(server, ADMIN, GREENHOUSE, controllers=(HOUSE.jid,))
    with pytest.raises(ConflictError, match=r"device greenhouse exists at pubsub\.localhost; renew it"):
        await add_device(server, ADMIN, GREENHOUSE, controllers=())
    assert await can_log_in(server, account)
    async with server.link(HOUSE) as house:
        assert len(await house.nodes(server.service)) == 3


async def test_a_device_is_renewed_with_its_controllers(server: MemoryServer) -> None:
    old = await add_device(server, ADMIN, GREENHOUSE, controllers=(HOUSE.jid,))
    new = await add_device(server, ADMIN, GREENHOUSE, controllers=(), renew=True)
    assert [await can_log_in(server, account) for account in (old, new)] == [False, True]
    async with server.link(HOUSE) as house:
        assert await house.nodes(server.service) == []


async def test_a_device_that_lost_its_account_is_renewed(server: MemoryServer) -> None:
    old = await add_device(server, ADMIN, GREENHOUSE, controllers=(HOUSE.jid,))
    await server.delete_account(old.jid)
    new = await add_device(server, ADMIN, GREENHOUSE, controllers=(HOUSE.jid,), renew=True)
    assert await can_log_in(server, new)


@pytest.mark.parametrize("renew", [False, True])
async def test_a_new_device_can_be_renewed_but_no_account_is_taken_over(
    server: MemoryServer, *, renew: bool
) -> None:
    account = await add_device(server, ADMIN, GREENHOUSE, controllers=(), renew=renew)
    assert await can_log_in(server, account)
    with pytest.raises(ConflictError, match="the account house@localhost exists and is no device"):
        await add_device(server, ADMIN, device_id("house"), controllers=("other@localhost",), renew=renew)
    assert await can_log_in(server, HOUSE)
    assert await list_devices(server, server.service) == [GREENHOUSE]


@pytest.mark.parametrize("renew", [False, True])
async def test_the_administrator_and_the_controllers_are_no_devices(
    server: MemoryServer, *, renew: bool
) -> None:
    with pytest.raises(ConfigError, match="admin@localhost is the administrator"):
        await add_device(server, ADMIN, device_id("admin"), controllers=(HOUSE.jid,), renew=renew)
    with pytest.raises(ConfigError, match="house@localhost is to be the controller"):
        await add_device(server, ADMIN, device_id("house"), controllers=("House@Localhost",), renew=renew)
    assert await server.nodes(server.service) == []
    assert [await can_log_in(server, account) for account in (ADMIN, HOUSE)] == [True, True]


class Failing(MemoryServer):
    """Fails to create accounts, and the nodes of one kind."""

    def __init__(self, error: IotxmppError, *, kind: str = "") -> None:
        super().__init__()
        self._error = error
        self._kind = kind

    async def create_account(self, jid: str, password: str, *, renew: bool = False) -> None:
        raise self._error

    async def create_node(self, node: NodeAddress, policy: NodePolicy) -> None:
        if self._kind and node.node.endswith(self._kind):
            raise self._error
        await super().create_node(node, policy)


@pytest.mark.parametrize("kind", ["", "readings"])
async def test_what_was_refused_leaves_no_nodes(kind: str) -> None:
    server = Failing(ForbiddenError("forbidden"), kind=kind)
    with pytest.raises(ForbiddenError):
        await add_device(server, ADMIN, GREENHOUSE, controllers=())
    assert await server.nodes(server.service) == []


async def test_a_renewal_that_fails_keeps_the_nodes() -> None:
    server = Failing(ForbiddenError("forbidden"))
    node = NodeAddress(service=server.service, node="iot/greenhouse/readings")
    await server.create_node(node, NodePolicy(publisher="greenhouse@localhost"))
    with pytest.raises(ForbiddenError):
        await add_device(server, ADMIN, GREENHOUSE, controllers=(), renew=True)
    assert node in await server.nodes(server.service)


async def test_an_account_that_may_have_been_made_keeps_its_nodes() -> None:
    server = Failing(LinkDownError("down"))
    with pytest.raises(LinkDownError):
        await add_device(server, ADMIN, GREENHOUSE, controllers=())
    assert await list_devices(server, server.service) == [GREENHOUSE]


async def test_a_removed_device_is_gone_and_its_controller_stays(server: MemoryServer) -> None:
    account = await add_device(server, ADMIN, GREENHOUSE, controllers=(HOUSE.jid,))
    await remove_device(server, ADMIN, GREENHOUSE)
    assert await server.nodes(server.service) == []
    assert [await can_log_in(server, each) for each in (account, HOUSE)] == [False, True]


async def test_only_devices_are_removed(server: MemoryServer) -> None:
    node = NodeAddress(service=server.service, node="iot/admin/readings")
    await server.create_node(node, NodePolicy(publisher=ADMIN.jid))
    with pytest.raises(ConfigError, match="admin@localhost is the administrator"):
        await remove_device(server, ADMIN, device_id("admin"))
    with pytest.raises(NotFoundError, match=r"no device house at pubsub\.localhost"):
        await remove_device(server, ADMIN, device_id("house"))
    assert [await can_log_in(server, account) for account in (ADMIN, HOUSE)] == [True, True]
    assert await server.nodes(server.service) == [node]
