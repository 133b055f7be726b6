"""How tests look at a private server: its stream, its processes, and a session on it."""

import socket
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from slixmpp import ClientXMPP

from iotxmpp.account import Account
from tests.live.bare_client import bare_client


def stream(sock: socket.socket, domain: str) -> str:
    """Opens a stream and returns the server's features."""
    sock.sendall(
        b"<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'>" % domain.encode()
    )
    return receive(sock, b"</stream:features>")


def receive(sock: socket.socket, until: bytes) -> str:
    text = b""
    while until not in text:
        chunk = sock.recv(4096)
        assert chunk, f"the stream ended after {text!r}"
        text += chunk
    return text.decode()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def family(pid: int) -> set[int]:
    """A process and all below it: Erlang's helpers lead sessions and groups of their own."""
    below = {
        int(child)
        for children in Path(f"/proc/{pid}/task").glob("*/children")
        for child in children.read_text().split()
    }
    return {pid}.union(*(family(child) for child in below))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: set[int], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while remaining := {pid for pid in pids if alive(pid)}:
        assert time.monotonic() < deadline, f"left behind: {remaining}"
        time.sleep(0.05)


def client(account: Account) -> AbstractAsyncContextManager[ClientXMPP]:
    """A session with what these tests need of slixmpp."""
    return bare_client(account, "xep_0004", "xep_0030", "xep_0050", "xep_0060")
