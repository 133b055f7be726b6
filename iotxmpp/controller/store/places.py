"""Where a store is, unless told otherwise."""

import os
from pathlib import Path

from iotxmpp.addresses import bare_jid

STATE_VARIABLE = "IOTXMPP_STATE"


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
