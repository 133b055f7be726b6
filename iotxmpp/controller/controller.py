"""The controller: give it handlers, and run it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar, overload

from pydantic import SecretStr

from iotxmpp.access import Access
from iotxmpp.account import Account
from iotxmpp.addresses import bare_jid, domain
from iotxmpp.controller.declared import ChangeHandler, ReadingHandler
from iotxmpp.controller.desk_door import opened_audit
from iotxmpp.controller.device import Device
from iotxmpp.controller.metrics import Metrics, MetricsServer
from iotxmpp.controller.named import named_devices
from iotxmpp.controller.queue import Queue
from iotxmpp.controller.queued import CommandState, QueuedCommand
from iotxmpp.controller.rejection import Rejection
from iotxmpp.controller.running import run_until_signal
from iotxmpp.controller.session import Keeping, Session, end
from iotxmpp.controller.store import Retention, Store, audit_place, default_store_url
from iotxmpp.controller.store.commands import CommandRows
from iotxmpp.controller.store.twin import TwinRows
from iotxmpp.controller.tidying import tidy_for_ever
from iotxmpp.controller.watching import Watching
from iotxmpp.controller.writer import Writer
from iotxmpp.errors import InvalidError, UnknownDeviceError
from iotxmpp.link import Link, Presence
from iotxmpp.liveness import Change, State
from iotxmpp.senml import check_name
from iotxmpp.twin import Twin

F = TypeVar("F", bound=Callable[..., Any])


class Controller:
    """Watches over devices: takes their readings, follows their presence, calls their commands.

    ```python
    controller = Controller("house@example.org")

    @controller.on_reading("temperature")
    async def too_hot(reading: Reading, device: Device) -> None:
        if reading.value > 30:
            print(await device.call("water", seconds=20))

    controller.run()
    ```

    Args:
        account: The controller's account, or its JID; then the password comes from `password`, the
            environment, or the account file that the environment names.
        password: The password, where a JID is given.
        devices: The devices, by id or JID; None takes all whose nodes this account may read.
        store: Where readings and rejections are kept, a SQLAlchemy URL of SQLite or PostgreSQL; a SQLite file
            in the state directory unless given.
        collects: It stores readings and tells devices so. A device obeys one collector; any other controller
            gets False here: it gives readings to its handlers, and keeps nothing.
        retention: How long the store keeps what; None keeps all for ever.
        metrics_port: The port on 127.0.0.1 that serves metrics to Prometheus; 0 takes a free one, None serves
            none.
        link: A link that somebody else opens and closes, such as one in memory.
        access: Who may call commands of devices through this controller, besides who has its account.
        discover_every: Seconds from one look for new devices to the next.

    Raises:
        InvalidError: The JID or a device is no such thing.
    """

    def __init__(  # noqa: PLR0913  # each is a choice of its own
        self,
        account: str | Account,
        *,
        password: str | None = None,
        devices: Iterable[str] | None = None,
        store: str | None = None,
        collects: bool = True,
        retention: Retention | None = None,
        metrics_port: int | None = None,
        link: Link | None = None,
        access: Access | None = None,
        discover_every: float = 10.0,
    ) -> None:
        if discover_every <= 0:
            raise InvalidError(f"discover_every {discover_every}: must be a positive number of seconds")
        self._given = account
        self._jid = account.jid if isinstance(account, Account) else bare_jid(account)
        self._password = password
        self._named = None if devices is None else named_devices(devices, domain(self._jid))
        self._store_url = store
        self._collects = collects
        self._retention = retention
        self._metrics_port = metrics_port
        self._link = link
        self._access = access or Access()
        self._every = discover_every
        self._readings: list[ReadingHandler] = []
        self._presences: list[ChangeHandler[Presence]] = []
        self._livenesses: list[ChangeHandler[Change]] = []
        self._twins: list[ChangeHandler[Twin]] = []
        self._session: Session | None = None
        self._writer: Writer | None = None
        self._keeping: Keeping | None = None
        self._server: MetricsServer | None = None
        self._stack: AsyncExitStack | None = None
        self.metrics = Metrics()

    @property
    def jid(self) -> str:
        """The controller's bare JID."""
        return self._jid

    @overload
    def on_reading(self, handler: F, /) -> F: ...

    @overload
    def on_reading(self, /, *channels: str, historical: bool = ...) -> Callable[[F], F]: ...

    def on_reading(self, /, *channels: Any, historical: bool = False) -> Any:
        """Declares a handler of new readings, of the named channels or of all, once they are in the store.

        It gets live readings alone; with `historical=True` also those that came late, which say so
        (`Reading.historical`). A reading is given to it once, however often it came; a controller that is
        killed between storing and giving does not give it after its next start.

        Its first parameter's annotation says what it is given: `Reading` for each reading, `float`, `int`,
        `bool` or `str` for each value of that type, or a pydantic model, made of the values that one pack has
        for one time and whose channels match the model's fields by name or alias. Its optional second one,
        `device: Device`, is given the device. A plain function runs in a thread of its own, an async one on
        the loop. A handler gets its calls one after another.

        Raises:
            InvalidError: An annotation cannot be served, or the controller runs already.
        """
        self._check_not_running()
        if len(channels) == 1 and callable(channels[0]):
            self._readings.append(ReadingHandler.of(channels[0], ()))
            return channels[0]
        for channel in channels:
            if not isinstance(channel, str):
                raise InvalidError(f"on_reading: {channel!r} is no channel's name")
            check_name(channel, "on_reading")

        def declare(handler: F) -> F:
            self._check_not_running()
            self._readings.append(ReadingHandler.of(handler, channels, historical=historical))
            return handler

        return declare

    def on_presence(self, handler: F, /) -> F:
        """Declares a handler of `(device: Device)` or `(device: Device, presence: Presence)`.

        It is called when a device comes, goes, or says something new of itself in its presence. When our own
        link goes down nothing is known, and nothing is told; afterwards only what has changed.

        Raises:
            InvalidError: An annotation cannot be served, or the controller runs already.
        """
        self._check_not_running()
        self._presences.append(ChangeHandler.of(handler, Presence, "presence"))
        return handler

    def on_liveness(self, handler: F, /) -> F:
        """Declares a handler of `(device: Device)` or `(device: Device, change: Change)`.

        It is called at each change of a device's `state`; `change` says from what to what, why, and when. A
        device that flaps is shown as it was for up to a minute, and then as it is.

        Raises:
            InvalidError: An annotation cannot be served, or the controller runs already.
        """
        self._check_not_running()
        self._livenesses.append(ChangeHandler.of(handler, Change, "change"))
        return handler

    def on_twin(self, handler: F, /) -> F:
        """Declares a handler of `(device: Device)` or `(device: Device, twin: Twin)`.

        It is called when what a device's settings should be, or what it reports of them, has changed; where
        several changes come at once, with the last alone.

        Raises:
            InvalidError: An annotation cannot be served, or the controller runs already.
        """
        self._check_not_running()
        self._twins.append(ChangeHandler.of(handler, Twin, "twin"))
        return handler

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices by id; empty while the controller does not run."""
        return MappingProxyType({}) if self._session is None else self._session.registry.devices

    def device(self, name: str) -> Device:
        """The device of an id.

        Raises:
            UnknownDeviceError: There is none; the text names those that are.
        """
        return self._running().registry.device(name)

    async def wait_for(
        self,
        name: str,
        *,
        online: bool | None = True,
        state: State | None = None,
        timeout: float | None = 30.0,
    ) -> Device:
        """Waits until a device is known, and online or known not to be.

        The description of one that has just come may follow a moment later; it precedes the readings.

        Args:
            name: Its id.
            online: Whether it must be online, or known not to be; None for either.
            state: The state that it must be in, instead; None for any.
            timeout: Seconds to wait; None for ever.

        Raises:
            NoAnswerError: It was not so in time.
        """
        return await self._running().registry.wait_for(name, online=online, state=state, timeout=timeout)

    async def rejections(
        self, device: str | None = None, since: float | None = None, limit: int = 100
    ) -> list[Rejection]:
        """The newest rejections that are kept, the oldest of them first.

        Args:
            device: Only this device's.
            since: Only those that came then or later, in seconds since 1970.
            limit: At most so many.

        Raises:
            StoreError: They could not be read.
        """
        self._running()
        if self._writer is None:
            return []
        return await self._writer.rejections(device, since, limit)

    async def commands(
        self, device: str | None = None, state: CommandState | None = None, limit: int = 100
    ) -> list[QueuedCommand]:
        """The newest commands that were queued with a ttl, the oldest of them first.

        Args:
            device: Only this device's.
            state: Only those in this state, such as `queued`.
            limit: At most so many.

        Raises:
            InvalidError: This controller keeps no queue.
            StoreError: They could not be read.
        """
        return await self._queue().find(device, state, limit)

    async def cancel(self, id: str) -> bool:  # noqa: A002  # its name everywhere
        """Cancels a queued command that was not started; whether that was so.

        One that was sent is asked back from its device, and stays if the device is away or has begun.

        Args:
            id: The command's id, as `commands` and a ticket name it.

        Raises:
            InvalidError: This controller keeps no queue.
            NotFoundError: There is no such command.
            StoreError: The store could not be read or written.
        """
        return await self._queue().cancel(id)

    @property
    def metrics_url(self) -> str | None:
        """Where the metrics are served; None where they are not."""
        return None if self._server is None else self._server.url

    async def __aenter__(self) -> Self:
        """Connects, and finds the devices.

        Raises:
            ConfigError: There is no password, the store is of another version, or the metrics' port is taken.
            ConnectError: No session with the server could be made; its subclass says how.
            StoreError: The store cannot be opened.
        """
        self._check_not_running()
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            account = self._found_account()
            if self._collects:
                self._writer = await self._open_store(stack)
            if self._metrics_port is not None:
                self._server = MetricsServer(self.metrics, self._metrics_port)
                stack.push_async_callback(asyncio.to_thread, self._server.close)
            link = self._link
            if link is None:
                link = await stack.enter_async_context(_open_link(account))
            self._session = Session(
                account=account,
                link=link,
                metrics=self.metrics,
                sink=self._writer or Watching(),
                acknowledges=self._collects,
                keeping=self._keeping,
                named=self._named,
                readings=tuple(self._readings),
                presences=tuple(self._presences),
                livenesses=tuple(self._livenesses),
                twins=tuple(self._twins),
                every=self._every,
            )
            await self._session.open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets handlers finish, closes the link, and writes what waits to the store."""
        if self._stack is not None:
            await self._stack.__aexit__(kind, error, trace)

    def run(self) -> None:
        """Runs until SIGINT or SIGTERM.

        Raises:
            SystemExit: It could not start; one line on standard error says why.
        """
        run_until_signal(self)

    async def _open_store(self, stack: AsyncExitStack) -> Writer:
        url = self._store_url or default_store_url(self._jid)
        store = await asyncio.to_thread(Store, url)
        writer = Writer(store, on_failure=self.metrics.store_failure, on_lost=self.metrics.lost)
        stack.push_async_callback(writer.close)
        self._keeping = Keeping(
            rows=CommandRows(store.database, self._jid),
            twins=TwinRows(store.database),
            between=writer.between,
            audit=await opened_audit(stack, audit_place(url, self._jid)),
            access=self._access,
        )
        if self._retention:
            tidying = asyncio.create_task(
                tidy_for_ever(writer, store, self._retention), name="iotxmpp retention"
            )
            stack.push_async_callback(end, tidying)
        return writer

    def _found_account(self) -> Account:
        if isinstance(self._given, Account):
            return self._given
        if self._link is not None:  # its owner has logged in already
            return Account(jid=self._jid, password=SecretStr(self._password or ""))
        return Account.find(self._given, password=self._password)

    def _running(self) -> Session:
        if self._session is None:
            raise UnknownDeviceError("the controller does not run: use it in 'async with controller:'")
        return self._session

    def _queue(self) -> Queue:
        queue = self._running().queue
        if queue is None:
            raise InvalidError("this controller keeps no queue of commands, as it does not collect")
        return queue

    def _check_not_running(self) -> None:
        if self._session is not None:
            raise InvalidError("the controller runs already: declare handlers before, and enter it once")

    def _forget(self) -> None:
        self._session = self._writer = self._keeping = self._server = self._stack = None


def _open_link(account: Account) -> AbstractAsyncContextManager[Link]:
    from iotxmpp.xmpp import XmppLink  # noqa: PLC0415  # a controller on another link needs no slixmpp

    return XmppLink(account)
