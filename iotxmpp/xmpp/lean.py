"""Loads slixmpp without what it takes along where that is installed, and most devices have no use for: 4 MB.

Pygments colours its debug log; aiodns asks DNS for the server, where the account does not name its host.
"""

import importlib
import sys

_UNUSED = ("aiodns", "pygments")


def let_it_ask_dns() -> None:
    """Has slixmpp look for aiodns once more."""
    from slixmpp.xmlstream import resolver  # noqa: PLC0415  # slixmpp is loaded below

    if not resolver.AIODNS_AVAILABLE:
        importlib.reload(resolver)


def _load_slixmpp() -> None:
    if "slixmpp" in sys.modules:
        return
    hidden = [name for name in _UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python says "not importable"
    try:
        import slixmpp  # noqa: F401, PLC0415  # for its effect
    finally:
        for name in hidden:
            del sys.modules[name]


_load_slixmpp()
