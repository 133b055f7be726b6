"""Loads slixmpp without Pygments, which it takes where it is installed, only to colour its debug log.

That is 3 MB that a device has no use for.
"""

import sys


def _load_slixmpp() -> None:
    if "pygments" in sys.modules or "slixmpp" in sys.modules:
        return
    sys.modules["pygments"] = None  # type: ignore[assignment]  # how Python says "not importable"
    try:
        import slixmpp  # noqa: F401, PLC0415  # for its effect
    finally:
        del sys.modules["pygments"]


_load_slixmpp()
