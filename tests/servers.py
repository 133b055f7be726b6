"""Real servers for the tests, one of each kind a run. A server that is missing fails the run."""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from iotxmpp.server import ServerKind, ServerProcess, ServerSpec


@contextmanager
def server_directory() -> Iterator[Path]:
    """A folder that a server's user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="iotxmpp-server-") as folder:
        yield Path(folder)


def finish(work: Coroutine[object, object, None]) -> None:
    """Runs it to its end in a loop of its own, wherever the caller is."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, work).result()


@contextmanager
def running(kind: ServerKind, **options: Any) -> Iterator[ServerProcess]:  # noqa: ANN401  # a spec's own fields
    """A started server in a temporary folder."""
    with server_directory() as folder:
        server = ServerProcess(ServerSpec(kind=kind, directory=folder, **options))
        finish(server.start())
        try:
            yield server
        finally:
            finish(server.stop())


@pytest.fixture(scope="session")
def prosody() -> Iterator[ServerProcess]:
    with running(ServerKind.PROSODY) as server:
        yield server


@pytest.fixture(scope="session")
def ejabberd() -> Iterator[ServerProcess]:
    with running(ServerKind.EJABBERD) as server:
        yield server
