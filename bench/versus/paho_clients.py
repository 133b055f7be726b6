"""How the ends of paho-mqtt log in: as those of aiomqtt; its own thread runs the connection."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE = 20.0


@contextmanager
def connected(client: paho.Client, identity: dict[str, Any]) -> Iterator[None]:
    """Connects, and runs the connection in paho's thread.

    Raises:
        RuntimeError: It could not connect in time.
    """
    online = threading.Event()
    client.on_connect = lambda *_: online.set()
    client.on_socket_open = _no_delay
    client.username_pw_set(identity["user"], identity["password"])
    client.tls_set_context(ssl.create_default_context(cafile=identity["ca"]))
    client.connect("localhost", identity["port"])
    client.loop_start()
    try:
        if not online.wait(PATIENCE):
            raise RuntimeError("paho did not connect")
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _no_delay(_client: paho.Client, _data: object, opened: Any) -> None:  # noqa: ANN401  # a socket, by paho's types none
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def new_client(name: str) -> paho.Client:
    """A client that is not connected yet."""
    return paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
