"""The sides of a comparison: how the consumer and the device of each are started."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from delivery_ends import End

from iotxmpp import Account
from iotxmpp.addresses import DeviceId, DeviceNodes
from versus.processes import open_account, running
from versus.stage import BUSY, PLAIN, Stage
from versus.watches import OURS, PEER, Watch


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A consumer and devices that are online.

    Attributes:
        consumer: What stores.
        devices: The processes that publish.
        watch: Looks into the consumer's store.
        server: The process of the server between them.
        ours: Whether the consumer is a controller, which counts packs.
    """

    consumer: End
    devices: Sequence[End]
    watch: Watch
    server: int
    ours: bool = False

    @property
    def device(self) -> End:
        """The first of them."""
        return self.devices[0]


@asynccontextmanager
async def _pair(
    stage: Stage, watch: Watch, consumer: tuple[str, dict[str, Any]], *devices: tuple[str, dict[str, Any]]
) -> AsyncIterator[Pair]:
    server = stage.mosquitto.pid if "user" in consumer[1] else stage.server.pid
    async with AsyncExitStack() as stack:
        module, who = consumer
        ends = [await stack.enter_async_context(running(module, who, state=stage.folder))]
        for module, who in devices:
            ends.append(await stack.enter_async_context(running(module, who, state=stage.folder)))
        yield Pair(
            consumer=ends[0],
            devices=ends[1:],
            watch=watch,
            server=server,
            ours=consumer[0] == "our_controller",
        )


@asynccontextmanager
async def our_pair(
    stage: Stage,
    *,
    handler: bool = False,
    ports: tuple[int | None, int | None] = (None, None),
    **device: Any,  # noqa: ANN401  # JSON
) -> AsyncIterator[Pair]:
    """A controller and an agent.

    Args:
        stage: Where.
        handler: Whether the controller has a handler that tells how long stamps took.
        ports: Where the device and the controller connect, if not to the server.
        device: What else the device is told at first.
    """
    watch = our_watch(stage)
    who = {
        "account": open_account(_at(stage.server.controller, ports[1])),
        "devices": [BUSY],
        "store": str(watch.path),
        "handler": handler,
    }
    what = {
        "account": open_account(_at(stage.devices[BUSY], ports[0])),
        "outbox": str(stage.file("outbox.db")),
        **device,
    }
    async with _pair(stage, watch, ("our_controller", who), ("our_device", what)) as pair:
        yield pair


@asynccontextmanager
async def mqtt_pair(
    stage: Stage,
    library: str = "aiomqtt",
    *,
    handler: bool = False,
    ports: tuple[int | None, int | None] = (None, None),
    **device: Any,  # noqa: ANN401  # JSON
) -> AsyncIterator[Pair]:
    """A consumer and a device of aiomqtt or paho; see `our_pair`."""
    watch = peer_watch(stage)
    to_device, to_consumer = ({} if port is None else {"port": port} for port in ports)
    who = {**stage.mosquitto.identity(store=str(watch.path), handler=handler), **to_consumer}
    what = {**stage.mosquitto.identity(device=BUSY, **device), **to_device}
    async with _pair(stage, watch, (f"{library}_consumer", who), (f"{library}_device", what)) as pair:
        yield pair


@asynccontextmanager
async def plain_pair(stage: Stage, library: str, **device: Any) -> AsyncIterator[Pair]:  # noqa: ANN401  # JSON
    """A consumer and a device that speak XMPP without iotxmpp, or by its link alone."""
    watch = peer_watch(stage)
    who = plain_identity(stage, stage.reader, store=str(watch.path))
    what = plain_identity(stage, stage.devices[PLAIN], **device)
    async with _pair(stage, watch, (f"{library}_consumer", who), (f"{library}_device", what)) as pair:
        yield pair


@asynccontextmanager
async def our_fleet(
    stage: Stage, names: Sequence[DeviceId], *, processes: int, handler: bool = False
) -> AsyncIterator[Pair]:
    """A controller, and agents in several processes."""
    watch = our_watch(stage)
    who = {
        "account": open_account(stage.server.controller),
        "devices": list(names),
        "store": str(watch.path),
        "handler": handler,
    }
    shares = [
        {
            "accounts": [open_account(stage.devices[name]) for name in names[number::processes]],
            "outboxes": str(stage.file("outboxes")),
        }
        for number in range(processes)
    ]
    devices = [("our_fleet", share) for share in shares if share["accounts"]]
    async with _pair(stage, watch, ("our_controller", who), *devices) as pair:
        yield pair


@asynccontextmanager
async def mqtt_fleet(
    stage: Stage, names: Sequence[DeviceId], *, processes: int, calls: int, handler: bool = False
) -> AsyncIterator[Pair]:
    """The same with aiomqtt, each client with so many calls at once."""
    watch = peer_watch(stage)
    who = stage.mosquitto.identity(store=str(watch.path), handler=handler)
    shares = [
        stage.mosquitto.identity(devices=names[number::processes], calls=calls) for number in range(processes)
    ]
    devices = [("aiomqtt_fleet", share) for share in shares if share["devices"]]
    async with _pair(stage, watch, ("aiomqtt_consumer", who), *devices) as pair:
        yield pair


@asynccontextmanager
async def our_callers(stage: Stage) -> AsyncIterator[End]:
    """A controller that calls, and an agent that answers; the caller."""
    what = {"account": open_account(stage.devices[BUSY])}
    who = {
        "account": open_account(stage.server.controller),
        "device": BUSY,
        "store": str(stage.file("caller.db")),
    }
    async with (
        running("our_commanded", what, state=stage.folder),
        running("our_caller", who, state=stage.folder) as caller,
    ):
        yield caller


@asynccontextmanager
async def mqtt_callers(stage: Stage) -> AsyncIterator[End]:
    """The same with aiomqtt."""
    async with (
        running("aiomqtt_commanded", stage.mosquitto.identity(), state=stage.folder),
        running("aiomqtt_caller", stage.mosquitto.identity(), state=stage.folder) as caller,
    ):
        yield caller


def our_watch(stage: Stage) -> Watch:
    """Looks into a new store of a controller."""
    return Watch(path=stage.file("controller.db"), quick=OURS[0], exact=OURS[1])


def peer_watch(stage: Stage) -> Watch:
    """Looks into a new store of a peer."""
    return Watch(path=stage.file("peer.db"), quick=PEER[0], exact=PEER[1])


def plain_identity(stage: Stage, account: Account, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """What a plain end needs to log in, and the node that it publishes to or reads."""
    return {
        "jid": account.jid,
        "password": account.password.get_secret_value(),
        "host": account.host,
        "port": stage.server.port,
        "direct_port": stage.server.direct_port,
        "ca": str(account.ca),
        "service": account.service,
        "node": DeviceNodes(service=stage.server.service, device=PLAIN).readings.node,
        "device": PLAIN,
        "account": open_account(account),
        **more,
    }


def _at(account: Account, port: int | None) -> Account:
    return account if port is None else account.model_copy(update={"port": port})
