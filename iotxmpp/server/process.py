"""A private server from start to stop."""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from iotxmpp.account import Account
from iotxmpp.errors import ConfigError
from iotxmpp.server import accounts, ejabberd, files, programs, prosody, settings
from iotxmpp.server.child import Child, Start
from iotxmpp.server.errors import ServerDirectoryError, ServerMissingError, ServerStartError
from iotxmpp.server.files import Owner
from iotxmpp.server.layout import Layout, Recipe, Settings
from iotxmpp.server.probe import problem
from iotxmpp.server.programs import Programs
from iotxmpp.server.spec import ServerKind, ServerSpec

log = logging.getLogger(__name__)

_TURN = 0.05
_LOCK_TIMEOUT = 10.0
_RECIPES: dict[ServerKind, Callable[[Settings, Programs], Recipe]] = {
    ServerKind.PROSODY: prosody.recipe,
    ServerKind.EJABBERD: ejabberd.recipe,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Running:
    settings: Settings
    recipe: Recipe
    child: Child


class ServerProcess:
    """A private XMPP server on the loopback interface: `async with ServerProcess(spec) as server:`.

    It runs without an administrator's rights and ends with this process, however this process ends. It is
    bound to no event loop: one loop may start it, and another stop it. Its directory keeps accounts,
    passwords, nodes, certificates and ports from start to start.
    """

    def __init__(self, spec: ServerSpec) -> None:
        self._spec = spec
        self._layout = Layout(spec.directory.absolute())
        self._running: _Running | None = None

    async def __aenter__(self) -> Self:
        """Starts the server; see `start`."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        await self.stop()

    @property
    def spec(self) -> ServerSpec:
        """What was asked for."""
        return self._spec

    @property
    def domain(self) -> str:
        """The domain that it serves."""
        return self._spec.domain

    @property
    def service(self) -> str:
        """The JID of its PubSub service."""
        return f"pubsub.{self.domain}"

    @property
    def port(self) -> int:
        """The port for STARTTLS."""
        return self._started.settings.port

    @property
    def direct_port(self) -> int:
        """The port for direct TLS (XEP-0368)."""
        return self._started.settings.direct_port

    @property
    def admin(self) -> Account:
        """The account that creates accounts (XEP-0133) and nodes (XEP-0060)."""
        return self._started.settings.admin

    @property
    def controller(self) -> Account:
        """The account of the first controller."""
        return self._started.settings.controller

    @property
    def admin_file(self) -> Path:
        """The file of `admin`."""
        return self._layout.admin

    @property
    def controller_file(self) -> Path:
        """The file of `controller`."""
        return self._layout.controller

    @property
    def ca(self) -> Path:
        """The certificate to trust."""
        return self._layout.ca

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started.child.pid

    @property
    def log_path(self) -> Path:
        """Its log."""
        return self._layout.log

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._running is not None and not self._running.child.ended

    async def start(self) -> None:
        """Starts the server, and returns when it accepts clients.

        Raises:
            ServerMissingError: It is not installed.
            ServerDirectoryError: Its directory cannot be used.
            PortTakenError: Something else listens on its port.
            ServerStartError: It failed for another reason.
            ConfigError: An account file in the directory is broken, or the extra `server` is not installed.
        """
        if self.running:
            raise ServerStartError(f"{self._spec.kind} in {self._layout.directory} is running already")
        found = programs.find(self._spec.kind)
        if found is None:
            raise ServerMissingError(programs.install_hint(self._spec.kind))
        _check_extra()
        owner = files.server_owner(self._spec.kind)
        files.prepare(self._layout, owner)
        with ExitStack() as held:
            lock = await self._lock(held)
            self._running = self._spawn(found, owner, lock)
        try:
            await self._until_accepting(self._running)
        except BaseException:
            await self.kill()
            raise
        finally:
            for secret in self._running.recipe.secrets:
                secret.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Ends the server; kills it if it does not end in time. Nothing happens if it is over."""
        if self._running is None:
            return
        child = self._running.child
        try:
            child.terminate()
            async with asyncio.timeout(self._spec.stop_timeout):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()
        finally:
            child.kill()

    async def kill(self) -> None:
        """Ends the server at once, as a power cut would (SIGKILL)."""
        child = self._started.child
        child.kill()
        await child.wait()

    async def restart(self) -> None:
        """Stops the server if it runs, and starts it again in the same directory, on the same ports."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Returns the exit code when the server's process is over; negative for a signal."""
        return await self._started.child.wait()

    @property
    def _started(self) -> _Running:
        if self._running is None:
            raise ServerStartError(f"{self._spec.kind} in {self._layout.directory} was not started yet")
        return self._running

    async def _lock(self, held: ExitStack) -> int:
        """Locks the directory; a server whose parent was killed a moment ago gets time to leave it."""
        deadline = asyncio.get_running_loop().time() + _LOCK_TIMEOUT
        told = False
        while (lock := held.enter_context(files.locked(self._layout))) is None:
            held.close()
            if not told:
                told = True
                log.warning("waiting for the server in %s to end", self._layout.directory)
            if asyncio.get_running_loop().time() > deadline:
                raise ServerDirectoryError(
                    f"a server is running in {self._layout.directory}; stop it, or choose another directory"
                )
            await asyncio.sleep(_TURN)
        return lock

    def _spawn(self, found: Programs, owner: Owner | None, lock: int) -> _Running:
        layout = self._layout
        settled = settings.settle(self._spec, layout)
        _ensure_certificate(layout, self._spec.domain, owner)
        first = accounts.ensure(layout, settled)
        complete = Settings(
            layout=layout,
            domain=settled.domain,
            port=settled.port,
            direct_port=settled.direct_port,
            admin=first.admin,
            controller=first.controller,
        )
        recipe = _RECIPES[self._spec.kind](complete, found)
        files.write_all(recipe.files.items(), owner)
        layout.ready.unlink(missing_ok=True)
        start = Start(
            command=recipe.command,
            env={**_environment(layout), **recipe.env},
            folder=layout.var,
            console=layout.console,
            owner=owner,
            hold=lock,
        )
        return _Running(settings=complete, recipe=recipe, child=Child(start))

    async def _until_accepting(self, running: _Running) -> None:
        kind, layout = self._spec.kind, self._layout
        trust = ssl.create_default_context(cafile=layout.ca)
        deadline = asyncio.get_running_loop().time() + self._spec.start_timeout
        while why := await self._problem(running, trust):
            log = files.last_lines(layout.console, layout.log)
            if running.child.ended:
                code = await running.child.wait()
                raise ServerStartError(f"{kind} ended with exit code {code} while starting\n{log}")
            if asyncio.get_running_loop().time() > deadline:
                raise ServerStartError(
                    f"{kind} accepts no clients after {self._spec.start_timeout:g} s: {why}\n{log}"
                )
            await asyncio.sleep(_TURN)

    async def _problem(self, running: _Running, trust: ssl.SSLContext) -> str:
        if running.child.ended:
            return "its process is over"
        if running.recipe.makes_ready and not self._layout.ready.exists():
            return "its first accounts are not there yet"
        return await problem(domain=self.domain, port=self.port, direct_port=self.direct_port, trust=trust)


def _environment(layout: Layout) -> dict[str, str]:
    """All that the server sees of ours: no password in a variable reaches it."""
    return {"PATH": os.environ.get("PATH") or os.defpath, "HOME": str(layout.var), "LANG": "C.UTF-8"}


def _check_extra() -> None:
    try:
        import iotxmpp.server.certificate  # noqa: F401, PLC0415  # an extra's dependency
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed; run: pip install 'iotxmpp[server]'") from error


def _ensure_certificate(layout: Layout, domain: str, owner: Owner | None) -> None:
    from iotxmpp.server.certificate import Certificates, renewed  # noqa: PLC0415  # an extra's dependency

    paths = (layout.ca, layout.ca_key, layout.certificate, layout.key)
    try:
        texts = [path.read_bytes() for path in paths if path.exists()]
        current = None
        if len(texts) == len(paths):
            current = Certificates(ca=texts[0], ca_key=texts[1], server=texts[2], server_key=texts[3])
        now = renewed(current, domain, datetime.now(UTC))
    except (OSError, ValueError) as error:
        raise ServerDirectoryError(
            f"the certificates in {layout.directory} cannot be used: {error}; "
            f"remove {layout.ca}, and new ones are made"
        ) from error
    files.write(layout.ca, now.ca, mode=0o644)
    files.write(layout.ca_key, now.ca_key)
    files.write(layout.certificate, now.server, owner=owner)
    files.write(layout.key, now.server_key, owner=owner)
