"""What a test of the contract is made of: links, nodes, and what handlers collected."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Generic, TypeVar
from xml.etree.ElementTree import Element

import pytest

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress, bare_jid
from iotxmpp.errors import ForbiddenError, NotFoundError
from iotxmpp.link import Link, LinkState
from iotxmpp.provisioning import NodePolicy
from tests.contract.backend import Backend

ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="session")
"""For every test of the contract: they share the administrator's link, which is slow to make."""

PATIENCE = 20.0
"""Seconds after which a test gives up waiting; nothing waits that long where all is well."""

NO_SUCH_NODE = (NotFoundError, ForbiddenError)
"""A closed service need not tell a stranger whether there is such a node: Prosody does not."""

BAD_TEXTS = ("\x00", "\x1b", "\ufffe", "\ud800")
"""Characters that XML cannot carry: NUL, ESC, a noncharacter, a lone surrogate."""

TOO_LARGE = 300_000
"""Characters that no server takes in one stanza."""

T = TypeVar("T")


class Collected(Generic[T]):
    """Everything that a handler was given; itself such a handler."""

    def __init__(self) -> None:
        self.all: list[T] = []
        self._came = asyncio.Event()

    async def __call__(self, thing: T) -> None:
        self.add(thing)

    def add(self, thing: T) -> None:
        self.all.append(thing)
        self._came.set()

    async def until(self, wanted: Callable[[T], bool], *, since: int = 0) -> T:
        """The first that is wanted, from the given index on; waits for it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._came.clear()
                for thing in self.all[since:]:
                    if wanted(thing):
                        return thing
                await self._came.wait()

    async def count(self, number: int) -> list[T]:
        """All of it, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.all) < number:
                self._came.clear()
                await self._came.wait()
        return self.all


def payload(text: str = "", **attributes: str) -> Element:
    """An element of the test's own namespace."""
    element = Element("{urn:test:contract}it", attributes)
    element.text = text
    return element


def text_of(element: Element | None) -> str:
    """The text of an element that must be there."""
    assert element is not None
    return element.text or ""


def policy(publisher: Link, readers: Sequence[Link] = (), *, keep: int = 1) -> NodePolicy:
    """A node's policy, by links instead of JIDs."""
    return NodePolicy(
        publisher=bare_jid(publisher.jid),
        readers=tuple(bare_jid(reader.jid) for reader in readers),
        keep=keep,
    )


async def is_up(link: Link) -> None:
    """Waits until a link is up."""
    states: Collected[LinkState] = Collected()
    cancel = link.on_state(states.add)
    if not link.state.up:
        await states.until(lambda state: state.up)
    cancel()


async def is_down(link: Link) -> None:
    """Waits until a link has seen that it is down."""
    states: Collected[LinkState] = Collected()
    cancel = link.on_state(states.add)
    if link.state.up:
        await states.until(lambda state: not state.up)
    cancel()


async def severed(how: Callable[[Link], Awaitable[None]], link: Link) -> LinkState:
    """Does it to a link that is up, and waits until it was down and is up again."""
    states: Collected[LinkState] = Collected()
    cancel = link.on_state(states.add)
    await how(link)
    await states.until(lambda state: not state.up)
    up = await states.until(lambda state: state.up)
    cancel()
    return up


class World:
    """Makes links and nodes on a backend; the links are closed when the test ends."""

    def __init__(self, backend: Backend, open_links: AsyncExitStack) -> None:
        self.backend = backend
        self._open = open_links

    async def join(self, name: str, *, before: Callable[[Link], None] | None = None) -> Link:
        """A new account's link, up; `before` is done to it before it is entered."""
        return await self.enter(await self.backend.account(name), before=before)

    async def enter(self, account: Account, *, before: Callable[[Link], None] | None = None) -> Link:
        """A link of an account, up."""
        link = self.backend.link(account)
        if before is not None:
            before(link)
        return await self._open.enter_async_context(link)

    async def node(self, publisher: Link, readers: Sequence[Link] = (), *, keep: int = 1) -> NodeAddress:
        """A new node."""
        node = self.missing_node()
        await self.backend.provisioner.create_node(node, policy(publisher, readers, keep=keep))
        return node

    async def recreate(self, node: NodeAddress, publisher: Link, readers: Sequence[Link] = ()) -> None:
        """Deletes a node with its subscriptions, and creates it anew."""
        await self.backend.provisioner.delete_node(node)
        await self.backend.provisioner.create_node(node, policy(publisher, readers))

    def missing_node(self) -> NodeAddress:
        """The address of a node that nobody created."""
        return NodeAddress(service=self.backend.service, node=f"test/{secrets.token_hex(6)}")
