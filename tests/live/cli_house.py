"""What the tests of the program share: files to give it, and what it printed."""

import json
from pathlib import Path

from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.errors import CredentialsError
from iotxmpp.xmpp import XmppLink
from tests.live.terminal import Ended

ELSEWHERE = Account(
    jid="admin@localhost",
    password=SecretStr("secret"),
    host="127.0.0.1",
    port=1,
    controllers=("controller@localhost",),
)


def saved(account: Account, folder: Path, name: str) -> Path:
    path = folder / f"{name}.toml"
    account.save(path)
    return path


def agent_file(folder: Path, account: str, *, name: str = "agent") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'account = "{account}"\nprofile = "bme280"\ndriver.kind = "simulated"\nevery = 0.1\n')
    return path


def changed(account: Account, **values: object) -> Account:
    """The account with other values."""
    return account.model_copy(update=values)


def one_line(ended: Ended) -> str:
    """The one line that a command said about its error."""
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    return line


def documents(out: str) -> list[dict[str, object]]:
    """One JSON document a line."""
    return [json.loads(line) for line in out.splitlines()]


async def can_log_in(account: Account) -> bool:
    try:
        async with XmppLink(account):
            return True
    except CredentialsError:
        return False
