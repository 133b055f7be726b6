"""What a controller tells Prometheus. The only importer of prometheus_client.

Labels are bounded: device ids are slugs, channels are those that a device describes, the rest is ours.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import accumulate
from threading import Lock

from iotxmpp.controller.columns import live_of, span_of, times_of
from iotxmpp.controller.queued import CommandState
from iotxmpp.controller.rejection import Code
from iotxmpp.controller.store import Taken
from iotxmpp.delivery import GapReason
from iotxmpp.errors import ConfigError
from iotxmpp.liveness import STATES, State
from iotxmpp.readings import Reading

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        generate_latest,
        start_http_server,
    )
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ConfigError(
        f"the controller needs prometheus_client ({error}); run: pip install 'iotxmpp[controller]'"
    ) from error

_VALUE = "iotxmpp_reading_value"
_DELAY = "iotxmpp_reading_delay_seconds"
_DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400)
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one controller, in a registry of their own.

    Attributes:
        registry: The registry, for those who export it by themselves.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self._link = Gauge("iotxmpp_link_up", "1 while the link to the server is up.", registry=own)
        self._devices = Gauge("iotxmpp_devices", "Devices that the controller knows.", registry=own)
        self._online = Gauge(
            "iotxmpp_device_online", "1 while the device is known to be online.", ["device"], registry=own
        )
        self._problems = Gauge(
            "iotxmpp_device_problems",
            "Problems that the device's presence tells now; 0 while it is away.",
            ["device"],
            registry=own,
        )
        self._liveness = Gauge(
            "iotxmpp_device_liveness",
            "1 for the state that the device is in, 0 for each other.",
            ["device", "state"],
            registry=own,
        )
        self._liveness_changes = Counter(
            "iotxmpp_liveness_changes", "Changes to a state.", ["device", "state"], registry=own
        )
        self._flaps = Counter(
            "iotxmpp_flaps",
            "Changes of state that were not shown at once: it flaps.",
            ["device"],
            registry=own,
        )
        self._duplicates = Counter(
            "iotxmpp_duplicates", "Readings that came again.", ["device"], registry=own
        )
        self._historical = Counter(
            "iotxmpp_historical", "Readings accepted that came late.", ["device"], registry=own
        )
        self._gone = Counter(
            "iotxmpp_readings_lost",
            "Readings that the device says will never come.",
            ["device", "reason"],
            registry=own,
        )
        self._postponed = Counter(
            "iotxmpp_postponed",
            "Packs not taken because too many were missing before.",
            ["device"],
            registry=own,
        )
        self._clones = Counter(
            "iotxmpp_clones", "Times that two devices were seen to use one account.", ["device"], registry=own
        )
        self._acks = Counter("iotxmpp_acks", "Acks to devices, by outcome.", ["outcome"], registry=own)
        self._packs = Counter("iotxmpp_packs", "Packs received.", ["device"], registry=own)
        self._readings = Counter("iotxmpp_readings", "Readings accepted.", ["device"], registry=own)
        self._rejected = Counter(
            "iotxmpp_rejected", "Rejections, by reason.", ["device", "code"], registry=own
        )
        self._values = _Values(own)
        self._delay = _Delays(own)
        self._command = Histogram(
            "iotxmpp_command_seconds",
            "From a command's call to its outcome.",
            ["command", "outcome"],
            buckets=_DURATIONS,
            registry=own,
        )
        self._commands: dict[tuple[str, str], Histogram] = {}
        self._commands_queued = Gauge(
            "iotxmpp_commands_queued", "Commands that wait in the store, or for their answer.", registry=own
        )
        self._commands_ended = Counter(
            "iotxmpp_commands", "Queued commands that ended, by how.", ["state"], registry=own
        )
        self._handler_errors = Counter(
            "iotxmpp_handler_errors", "Handlers that raised.", ["handler"], registry=own
        )
        self._store_failures = Counter(
            "iotxmpp_store_failures", "Attempts to write to the store that failed.", registry=own
        )
        self._lost = Counter(
            "iotxmpp_rejections_lost", "Rejections that the store did not take.", registry=own
        )
        self._early_lost = Counter(
            "iotxmpp_early_items_lost",
            "Items of devices that had not joined, which could not be held until they had.",
            registry=own,
        )
        self._children: dict[tuple[Counter, str], Counter] = {}

    def link_up(self, *, up: bool) -> None:
        """The link went up or down."""
        self._link.set(up)

    def devices(self, count: int) -> None:
        """So many devices are known."""
        self._devices.set(count)

    def device_online(self, device: str, *, online: bool) -> None:
        """A device came or went."""
        self._online.labels(device).set(online)

    def device_problems(self, device: str, count: int) -> None:
        """So many things do not work on a device, as its presence says."""
        self._problems.labels(device).set(count)

    def liveness(self, device: str, state: State) -> None:
        """A device is in a state."""
        for each in STATES:
            self._liveness.labels(device, each).set(each == state)

    def liveness_changed(self, device: str, state: State) -> None:
        """A device came into a state."""
        self.liveness(device, state)
        self._liveness_changes.labels(device, state).inc()

    def flaps(self, device: str, count: int) -> None:
        """So many changes of a device were not shown at once."""
        self._flaps.labels(device).inc(count)

    def settled(self, device: str, taken: Taken, reason: GapReason | None) -> None:
        """An item is in the store; a gap record if it has a reason."""
        if taken.postponed:
            self._postponed.labels(device).inc()
        if reason is None:
            self.pack(device, len(taken.readings))
            late = len(taken.readings) - len(live_of(taken.readings))
            for counter, count in ((self._duplicates, taken.duplicates), (self._historical, late)):
                child = self._of(counter, device)  # shown from the first pack on
                if count:
                    child.inc(count)
        else:
            self._gone.labels(device, reason).inc(taken.lost)

    def clone(self, device: str) -> None:
        """Two devices use one account."""
        self._clones.labels(device).inc()

    def ack(self, outcome: str) -> None:
        """An ack was `sent`, `failed` or `refused`, or is `forbidden`: the device has another collector."""
        self._acks.labels(outcome).inc()

    def pack(self, device: str, readings: int) -> None:
        """A pack came, and so many of its readings were accepted."""
        self._of(self._packs, device).inc()
        self._of(self._readings, device).inc(readings)

    def accepted(
        self, device: str, live: Sequence[Reading], now: float, *, newest: Iterable[Reading]
    ) -> None:
        """Readings of one item were accepted that did not come late.

        Args:
            device: The device's id.
            live: The readings, whose delays are counted, each of them.
            now: When they came, in seconds since 1970.
            newest: The last one of each channel that the device describes: what they hold is shown.
        """
        if live:
            self._delay.observe(now, times_of(live), span_of(live))
        self._values.show(device, newest)

    def rejected(self, device: str, code: Code) -> None:
        """Something was rejected."""
        self._rejected.labels(device, code).inc()

    def command(self, command: str, outcome: str, seconds: float) -> None:
        """A command ended."""
        child = self._commands.get((command, outcome))
        if child is None:
            child = self._commands[command, outcome] = self._command.labels(command, outcome)
        child.observe(seconds)

    def commands_queued(self, count: int) -> None:
        """So many queued commands have not ended."""
        self._commands_queued.set(count)

    def command_ended(self, state: CommandState) -> None:
        """A queued command ended."""
        self._commands_ended.labels(state).inc()

    def handler_error(self, handler: str) -> None:
        """A handler raised."""
        self._handler_errors.labels(handler).inc()

    def store_failure(self) -> None:
        """The store could not be written."""
        self._store_failures.inc()

    def lost(self, count: int) -> None:
        """So many rejections could not be kept."""
        self._lost.inc(count)

    def early_lost(self, count: int) -> None:
        """So many items came before their device had joined, and could not be held."""
        self._early_lost.inc(count)

    def described(self, device: str, channels: dict[str, str | None]) -> None:
        """A device described itself: values of other channels, or in other units, are shown no more."""
        self._values.keep(device, {(channel, unit or "") for channel, unit in channels.items()})

    def forget(self, device: str) -> None:
        """A device was removed: what is shown of its state goes; what was counted stays."""
        self.described(device, {})
        self._online.remove(device)
        self._problems.remove(device)
        for state in STATES:
            with suppress(KeyError):  # nobody watched it
                self._liveness.remove(device, state)

    def _of(self, counter: Counter, device: str) -> Counter:
        """A device's own part of a counter; looking it up costs more than counting."""
        child = self._children.get((counter, device))
        if child is None:
            child = self._children[counter, device] = counter.labels(device)
        return child

    def text(self) -> str:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry).decode()


class _Values(Collector):
    """The last value of each channel.

    To set one of the library's own gauges costs ten times as much, and a pack may be of hundreds of channels.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: dict[str, dict[tuple[str, str], bool | float]] = {}
        self._lock = Lock()
        registry.register(self)

    def show(self, device: str, readings: Iterable[Reading]) -> None:
        """Shows what these hold, but for text."""
        with self._lock:
            shown = self._shown.setdefault(device, {})
            for reading in readings:
                if not isinstance(reading.value, str):
                    shown[reading.channel, reading.unit or ""] = reading.value

    def keep(self, device: str, names: AbstractSet[tuple[str, str]]) -> None:
        """Shows no more than these channels, each with its unit, of a device."""
        with self._lock:
            left = {name: value for name, value in self._shown.pop(device, {}).items() if name in names}
            if left:
                self._shown[device] = left

    def collect(self) -> Iterator[Metric]:
        """The values as they are now."""
        labels = ["device", "channel", "unit"]
        family = GaugeMetricFamily(_VALUE, "The last value of a channel; true is 1.", labels=labels)
        with self._lock:
            for device, shown in self._shown.items():
                for name, value in shown.items():
                    family.add_metric([device, *name], float(value))
        yield family


class _Delays(Collector):
    """The histogram of delays, each reading counted, many at once.

    The library's own takes one at a time, which costs more than all else that is done for a reading here.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts = [0] * (len(_DELAYS) + 1)
        self._sum = 0.0
        self._made = time.time()
        self._lock = Lock()
        registry.register(self)

    def observe(self, now: float, times: Sequence[float], span: tuple[float, float]) -> None:
        """Readings of these times, which lie in this span, were accepted now."""
        delays = [now - each for each in times]
        if span[1] > now:
            delays = [max(0.0, each) for each in delays]
        first, last = (bisect_left(_DELAYS, max(0.0, now - each)) for each in reversed(span))
        with self._lock:
            self._sum += sum(delays)
            if first == last:
                self._counts[first] += len(times)
            else:
                for delay in delays:
                    self._counts[bisect_left(_DELAYS, delay)] += 1

    def collect(self) -> Iterator[Metric]:
        """The histogram as it is now."""
        with self._lock:
            totals, sum_value = list(accumulate(self._counts)), self._sum
        bounds = [*map(str, map(float, _DELAYS)), "+Inf"]
        family = HistogramMetricFamily(
            _DELAY,
            "From the reading, by the device's clock, to its acceptance, by ours.",
            buckets=list(zip(bounds, totals, strict=True)),
            sum_value=sum_value,
        )
        family.add_sample(f"{_DELAY}_created", {}, self._made)
        yield family


class MetricsServer:
    """Serves a controller's metrics over HTTP.

    Args:
        metrics: What to serve.
        port: The port; 0 takes a free one.
        address: The address to listen at.

    Attributes:
        url: Where the metrics are.

    Raises:
        ConfigError: The port cannot be listened at.
    """

    def __init__(self, metrics: Metrics, port: int, address: str = "127.0.0.1") -> None:
        try:
            self._server, self._thread = start_http_server(port, address, metrics.registry)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"metrics port {port} on {address}: {error}; choose another") from error
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stops serving; blocks for up to half a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
