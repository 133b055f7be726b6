"""The contract's backend over TCP: a real server, and a proxy before each account's links."""

import secrets
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid
from iotxmpp.backoff import Backoff
from iotxmpp.link import Link
from iotxmpp.provisioning import Provisioner
from iotxmpp.server import ServerProcess
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from tests.proxy import Proxy


class XmppBackend:
    """One test's accounts on a server that many tests share."""

    def __init__(self, server: ServerProcess, provisioner: XmppProvisioner) -> None:
        self._server = server
        self._provisioner = provisioner
        self._open = AsyncExitStack()
        self._proxies: dict[str, Proxy] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def domain(self) -> str:
        return self._server.domain

    @property
    def service(self) -> str:
        return self._server.service

    @property
    def provisioner(self) -> Provisioner:
        return self._provisioner

    @property
    def keeps_messages(self) -> bool:
        return False  # the private servers keep none: what was written to a device that is away is void

    async def account(self, name: str) -> Account:
        jid, password = f"{name}-{secrets.token_hex(4)}@{self.domain}", secrets.token_hex(8)
        await self._provisioner.create_account(jid, password)
        proxy = await self._open.enter_async_context(Proxy("127.0.0.1", self._server.port))
        self._proxies[jid] = proxy
        return Account(
            jid=jid,
            password=SecretStr(password),
            host="127.0.0.1",
            port=proxy.port,
            tls="starttls",
            ca=self._server.ca,
        )

    def link(self, account: Account) -> Link:
        return XmppLink(account, backoff=Backoff(first=0.02, longest=0.1))

    async def cut(self, link: Link) -> None:
        proxy = self._proxy(link)
        proxy.reset()
        proxy.resume()

    async def renew(self, link: Link) -> None:
        # XEP-0133 section 4.4; ejabberd names the field otherwise.
        jid = link.jid
        await self._provisioner._administer(
            jid, "end-user-session", {"accountjids": [jid], "accountjid": jid}
        )

    async def hold(self, link: Link) -> None:
        self._proxy(link).refuse()

    async def release(self, link: Link) -> None:
        self._proxy(link).resume()

    async def stall(self, link: Link) -> None:
        self._proxy(link).black_hole()

    def _proxy(self, link: Link) -> Proxy:
        return self._proxies[bare_jid(link.jid)]
