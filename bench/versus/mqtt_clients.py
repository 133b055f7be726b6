"""How the ends of aiomqtt log in: MQTT 5, TLS, a user and a password."""

import socket
import ssl
from typing import Any

import aiomqtt

MOST = 2_000
"""Calls at once from which on aiomqtt would warn at each."""


def client(identity: dict[str, Any], name: str, **more: Any) -> aiomqtt.Client:  # noqa: ANN401  # aiomqtt's own
    """A client that is not connected yet."""
    made = aiomqtt.Client(
        hostname="localhost",
        port=identity["port"],
        username=identity["user"],
        password=identity["password"],
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        tls_context=ssl.create_default_context(cafile=identity["ca"]),
        **more,
    )
    made.pending_calls_threshold = MOST
    return made
