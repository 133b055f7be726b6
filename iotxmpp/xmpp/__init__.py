"""The port over slixmpp, for real servers. No other room imports slixmpp.

`XmppProvisioner` is loaded when it is first used: a device has no use for it.
"""

from typing import TYPE_CHECKING

from iotxmpp.xmpp import lean  # noqa: F401  # first: it loads slixmpp
from iotxmpp.xmpp.link import XmppLink

if TYPE_CHECKING:
    from iotxmpp.xmpp.provisioner import XmppProvisioner

__all__ = ["XmppLink", "XmppProvisioner"]


if not TYPE_CHECKING:  # type checkers see the name above, and report any other

    def __getattr__(name: str) -> object:
        if name == "XmppProvisioner":
            from iotxmpp.xmpp.provisioner import XmppProvisioner  # noqa: PLC0415  # as said above

            return XmppProvisioner
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
