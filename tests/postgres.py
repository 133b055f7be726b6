"""A private PostgreSQL for the tests, one a run. A missing one fails the run."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

USER = "postgres"
"""Who runs it when root runs the tests: PostgreSQL refuses root."""

STARTS_WITHIN = 20.0
STOPS_WITHIN = 20.0


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} is missing; run: .ci/setup-servers postgresql")
    return path


class PostgresServer:
    """A server in a temporary folder, reachable by a socket there and nowhere else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: list[str] = []
        if os.getuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._as_user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

    def start(self) -> None:
        data = str(self._folder / "data")
        self._run(
            "initdb", "--pgdata", data, "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--no-sync"
        )
        self.start_again()

    def start_again(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig=INT", *self._as_user),
                    *(_program("postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder)),
                    *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=40"),
                ],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        until = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    said = (self._folder / "log").read_text()[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{said}") from error
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Ends it at once, its sessions with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOPS_WITHIN)
            self._process = None

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}@/{name}?host={self._folder}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(host=str(self._folder), user=USER, dbname=USER, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            ["setpriv", "--pdeathsig=KILL", *self._as_user, _program(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="iotxmpp-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty store, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'controller.db'}"
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.database()
