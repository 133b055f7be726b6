"""The first accounts of a private server: an administrator and a controller."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.server.layout import Layout
from iotxmpp.server.settings import Remembered
from iotxmpp.server.spec import HOST

_SECRET_BYTES = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstAccounts:
    """Whose files lie in the server's directory.

    Attributes:
        admin: Creates accounts and nodes.
        controller: An ordinary account.
    """

    admin: Account
    controller: Account


def ensure(layout: Layout, settings: Remembered) -> FirstAccounts:
    """Writes the account files; a password that is there stays.

    Raises:
        ConfigError: A file that is there cannot be read.
    """
    accounts = FirstAccounts(
        admin=_account("admin", layout.admin, layout, settings),
        controller=_account("controller", layout.controller, layout, settings),
    )
    accounts.admin.save(layout.admin)
    accounts.controller.save(layout.controller)
    return accounts


def _account(name: str, path: Path, layout: Layout, settings: Remembered) -> Account:
    if path.exists():
        password = Account.load(path).password
    else:
        password = SecretStr(secrets.token_urlsafe(_SECRET_BYTES))
    return Account(
        jid=f"{name}@{settings.domain}",
        password=password,
        host=HOST,
        port=settings.port,
        tls="starttls",
        ca=layout.ca,
        service=f"pubsub.{settings.domain}",
        controllers=(f"controller@{settings.domain}",),
    )
