"""Loads slixmpp without what it takes along where that is installed, and most devices have no use for: 4 MB.

Pygments colours its debug log; aiodns asks DNS for the server, where the account does not name its host;
GnuPG is for an old way to encrypt chats. And the buffer of asyncio's TLS is larger than all that comes.
"""

import importlib
import sys
from asyncio import sslproto
from types import ModuleType
from typing import Any

from iotxmpp.lean import leanly

_UNUSED = ("aiodns", "pygments")
_GNUPG = "gnupg"
"""Where that is not installed, slixmpp loads a copy of its own."""

_TLS_BUFFER = 64 * 1024
"""Bytes that are read from a TLS connection at once, in place of 256 KiB; a record of TLS has 16 KiB."""


def let_it_ask_dns() -> None:
    """Has slixmpp look for aiodns once more."""
    from slixmpp.xmlstream import resolver  # noqa: PLC0415  # slixmpp is loaded below

    if not resolver.AIODNS_AVAILABLE:
        importlib.reload(resolver)


def _load_slixmpp() -> None:
    if "slixmpp" in sys.modules:
        return
    stand_ins: dict[str, Any] = {**dict.fromkeys(_UNUSED), _GNUPG: ModuleType(_GNUPG)}
    stand_ins[_GNUPG].GPG = _gnupg
    hidden = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(hidden)  # None is how Python says "not importable"
    try:
        with leanly():
            import slixmpp  # noqa: F401, PLC0415  # for its effect
    finally:
        for name in hidden:
            del sys.modules[name]


def _gnupg(*arguments: Any, **options: Any) -> Any:
    """In place of the client of GnuPG: loads it when somebody makes one."""
    from slixmpp.thirdparty.gnupg import GPG  # noqa: PLC0415  # as said above

    client: Any = GPG  # which has no types
    return client(*arguments, **options)


_load_slixmpp()
sslproto.SSLProtocol.max_size = min(_TLS_BUFFER, sslproto.SSLProtocol.max_size)
