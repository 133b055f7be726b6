"""Where a store is, unless told otherwise."""

import os
from pathlib import Path

from iotxmpp.addresses import bare_jid

STATE_VARIABLE = "IOTXMPP_STATE"


_MEMORY = ("", ":memory:")


def default_store_url(jid: str) -> str:
    """Where the controller of an account keeps its store, unless told otherwise.

    `$IOTXMPP_STATE`, else `$XDG_STATE_HOME/iotxmpp/<bare jid>`, else `~/.local/state/iotxmpp/<bare jid>`.
    """
    given = os.environ.get(STATE_VARIABLE)
    if given:
        directory = Path(given)
    else:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        directory = Path(home) / "iotxmpp" / bare_jid(jid)
    return f"sqlite:///{directory.absolute() / 'controller.db'}"


def audit_place(url: str, jid: str) -> Path | None:
    """Where the audit log of a controller is: beside its SQLite store, else in its state directory.

    Args:
        url: The store's URL.
        jid: The controller's JID.

    Returns:
        The file; None for a store in memory, which leaves nothing behind.
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return audit_place(default_store_url(jid), jid)
    path = rest.removeprefix("/").partition("?")[0]
    return None if path in _MEMORY else Path(path).with_name(f"{Path(path).stem}.audit.log")
