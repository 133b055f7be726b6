"""The port over slixmpp, for real servers. No other room imports slixmpp."""

from iotxmpp.xmpp import lean  # noqa: F401  # first: it loads slixmpp
from iotxmpp.xmpp.link import XmppLink
from iotxmpp.xmpp.provisioner import XmppProvisioner

__all__ = ["XmppLink", "XmppProvisioner"]
