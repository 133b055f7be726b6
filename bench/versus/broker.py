"""A private Mosquitto on the loopback interface, as Debian configures it, with TLS and a password file."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iotxmpp.server.certificate import renewed

PROGRAM = "/usr/sbin/mosquitto"
USER, PASSWORD = "device", "a long password of the bench"  # of a throw-away broker
_PATIENCE = 10.0
_TURN = 0.05

CONFIG = """\
listener {port} 127.0.0.1
certfile {folder}/server.pem
keyfile {folder}/server.key
allow_anonymous false
password_file {folder}/passwords
persistence true
persistence_location {folder}/
max_queued_messages 0
set_tcp_nodelay true
log_dest file {folder}/mosquitto.log
"""
"""Debian's, but for the places, TLS, the passwords, and a queue without a bound.

With the default bound of 1,000 messages the broker drops what a busy subscriber does not take at once.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broker:
    """A running broker.

    Attributes:
        port: Its port for TLS.
        ca: The certificate to trust.
        pid: Its process.
    """

    port: int
    ca: Path
    pid: int

    def identity(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """What an end needs to log in."""
        return {"port": self.port, "ca": str(self.ca), "user": USER, "password": PASSWORD, **more}


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[Broker]:
    """Starts one with its files in this folder, and ends it.

    Raises:
        RuntimeError: It is not installed, or does not accept clients in time.
    """
    if shutil.which(PROGRAM) is None:
        raise RuntimeError("Mosquitto is not installed; run: .ci/setup-servers mosquitto")
    port = _free_port()
    _write(folder, port)
    process = await asyncio.create_subprocess_exec(PROGRAM, "-c", str(folder / "mosquitto.conf"))
    try:
        await _until_accepting(port, folder / "ca.pem")
        yield Broker(port=port, ca=folder / "ca.pem", pid=process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _write(folder: Path, port: int) -> None:
    pems = renewed(None, "localhost", datetime.now(UTC))
    for name, text in (("ca.pem", pems.ca), ("server.pem", pems.server), ("server.key", pems.server_key)):
        (folder / name).write_bytes(text)
    (folder / "passwords").touch(mode=0o600)
    subprocess.run(["/usr/bin/mosquitto_passwd", "-b", str(folder / "passwords"), USER, PASSWORD], check=True)
    (folder / "mosquitto.conf").write_text(CONFIG.format(port=port, folder=folder), encoding="utf-8")
    if os.geteuid() == 0:  # it gives root's rights up for those of its own user
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "mosquitto", "mosquitto")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def _until_accepting(port: int, ca: Path) -> None:
    trust = ssl.create_default_context(cafile=ca)
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=trust, server_hostname="localhost"
                )
            except OSError:
                await asyncio.sleep(_TURN)
            else:
                writer.close()
                return
