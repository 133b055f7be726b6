"""The contract's backend in memory."""

import secrets

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid
from iotxmpp.link import Cancel, Link
from iotxmpp.memory import MemoryServer
from iotxmpp.provisioning import Provisioner


class MemoryBackend:
    """A server of its own for each test."""

    def __init__(self) -> None:
        self._server = MemoryServer()
        self._stalled: dict[str, Cancel] = {}

    @property
    def domain(self) -> str:
        return self._server.domain

    @property
    def service(self) -> str:
        return self._server.service

    @property
    def provisioner(self) -> Provisioner:
        return self._server

    @property
    def keeps_messages(self) -> bool:
        return True

    async def account(self, name: str) -> Account:
        jid, password = f"{name}-{secrets.token_hex(4)}@{self.domain}", secrets.token_hex(8)
        await self._server.create_account(jid, password)
        return Account(jid=jid, password=SecretStr(password))

    def link(self, account: Account) -> Link:
        return self._server.link(account)

    async def cut(self, link: Link) -> None:
        self._server.drop(link.jid, resume=True, back_after=0.01)
        self._speak(link)

    async def renew(self, link: Link) -> None:
        self._server.drop(link.jid, back_after=0.01)

    async def hold(self, link: Link) -> None:
        self._server.drop(link.jid, back_after=None)

    async def release(self, link: Link) -> None:
        self._speak(link)
        self._server.restore(link.jid)

    async def stall(self, link: Link) -> None:
        self._stalled[bare_jid(link.jid)] = self._server.silence(link.jid)

    def _speak(self, link: Link) -> None:
        speak = self._stalled.pop(bare_jid(link.jid), None)
        if speak is not None:
            speak()
