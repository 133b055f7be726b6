"""What Prometheus is told."""

import asyncio
import socket
import sys
from collections.abc import Callable
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from iotxmpp.controller import metrics as metrics_module
from iotxmpp.controller.metrics import Metrics, MetricsServer
from iotxmpp.errors import ConfigError
from iotxmpp.liveness import STATES
from iotxmpp.readings import Reading, Value

ORDER = ("device", "state", "channel", "unit", "code", "command", "outcome", "handler", "le")


def values(metrics: Metrics) -> dict[str, float]:
    """Samples as `name{values of labels}`, without those that say when something was made."""
    return {
        sample.name
        + (
            f"{{{','.join(sample.labels[name] for name in ORDER if name in sample.labels)}}}"
            if sample.labels
            else ""
        ): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def reading(channel: str, value: Value, unit: str | None = None, time: float = 1000.0) -> Reading:
    return Reading(channel=channel, value=value, unit=unit, time=time)


def accept(metrics: Metrics, accepted: Reading, now: float, *, described: bool) -> None:
    metrics.accepted("hall", [accepted], now, newest=[accepted] if described else ())


def test_every_metric_has_a_good_name_and_help() -> None:
    metrics = Metrics()
    metrics.device_online("hall", online=True)
    metrics.device_problems("hall", 2)
    metrics.liveness_changed("hall", "stale")
    metrics.flaps("hall", 2)
    metrics.pack("hall", 3)
    accept(metrics, reading("temperature", 21.5, "Cel"), 1000.5, described=True)
    metrics.rejected("hall", "range")
    metrics.command("water", "ok", 0.25)
    metrics.commands_queued(4)
    metrics.command_ended("expired")
    metrics.handler_error("too_hot")
    metrics.store_failure()
    metrics.lost(2)
    metrics.early_lost(3)
    metrics.link_up(up=True)
    metrics.devices(1)
    assert values(metrics) == {
        "iotxmpp_link_up": 1,
        "iotxmpp_devices": 1,
        "iotxmpp_device_online{hall}": 1,
        "iotxmpp_device_problems{hall}": 2,
        **{f"iotxmpp_device_liveness{{hall,{state}}}": state == "stale" for state in STATES},
        "iotxmpp_liveness_changes_total{hall,stale}": 1,
        "iotxmpp_flaps_total{hall}": 2,
        "iotxmpp_packs_total{hall}": 1,
        "iotxmpp_readings_total{hall}": 3,
        "iotxmpp_rejected_total{hall,range}": 1,
        "iotxmpp_reading_value{hall,temperature,Cel}": 21.5,
        "iotxmpp_reading_delay_seconds_count": 1,
        "iotxmpp_reading_delay_seconds_sum": 0.5,
        "iotxmpp_command_seconds_count{water,ok}": 1,
        "iotxmpp_command_seconds_sum{water,ok}": 0.25,
        "iotxmpp_commands_queued": 4,
        "iotxmpp_commands_total{expired}": 1,
        "iotxmpp_handler_errors_total{too_hot}": 1,
        "iotxmpp_store_failures_total": 1,
        "iotxmpp_rejections_lost_total": 2,
        "iotxmpp_early_items_lost_total": 3,
    }
    assert all(family.documentation for family in text_string_to_metric_families(metrics.text()))


def test_truth_values_are_numbers_and_text_has_no_value() -> None:
    metrics = Metrics()
    accept(metrics, reading("door", value=True), 1000, described=True)
    accept(metrics, reading("note", "hi"), 1000, described=True)
    shown = {name: value for name, value in values(metrics).items() if "value" in name}
    assert shown == {"iotxmpp_reading_value{hall,door,}": 1}


def test_a_channel_that_nobody_described_is_no_label() -> None:
    metrics = Metrics()
    accept(metrics, reading("anything", 1), 1000, described=False)
    assert "anything" not in metrics.text()
    assert values(metrics)["iotxmpp_reading_delay_seconds_count"] == 1


@given(st.lists(st.floats(-10, 100_000), min_size=1), st.integers(1, 5))
def test_delays_are_counted_as_the_library_counts_them(ages: list[float], packs: int) -> None:
    metrics, library = Metrics(), CollectorRegistry()
    text = "From the reading, by the device's clock, to its acceptance, by ours."
    expected = Histogram(
        "iotxmpp_reading_delay_seconds", text, registry=library, buckets=metrics_module._DELAYS
    )
    now = 1_800_000_000.0
    for _ in range(packs):
        times = [now - age for age in ages]
        metrics.accepted("hall", [reading("t", 1.0, time=each) for each in times], now, newest=())
        for each in times:
            expected.observe(max(0.0, now - each))

    def lines(text: str) -> dict[str, float]:
        told = (line.rpartition(" ") for line in text.splitlines() if "iotxmpp_reading_delay" in line[:21])
        return {name: float(value) for name, _, value in told if "_created" not in name}

    found, wanted = lines(metrics.text()), lines(generate_latest(library).decode())
    assert list(found) == list(wanted)
    assert list(found.values()) == pytest.approx(list(wanted.values()))
    assert "iotxmpp_reading_delay_seconds_created" in metrics.text()


def test_a_clock_that_is_ahead_makes_no_negative_delay() -> None:
    metrics = Metrics()
    accept(metrics, reading("count", 1, time=2000.0), 1000.0, described=True)
    assert values(metrics)["iotxmpp_reading_delay_seconds_sum"] == 0


def test_a_new_description_takes_old_channels_away() -> None:
    metrics = Metrics()
    for channel, unit in (("a", "Cel"), ("b", "Cel"), ("c", None)):
        accept(metrics, reading(channel, 1.0, unit), 1000, described=True)
    metrics.described("hall", {"a": "Cel", "b": "K"})
    assert [name for name in values(metrics) if "value" in name] == ["iotxmpp_reading_value{hall,a,Cel}"]


def test_a_forgotten_device_shows_no_state_but_keeps_its_counts() -> None:
    metrics = Metrics()
    metrics.device_online("hall", online=True)
    metrics.device_problems("hall", 2)
    metrics.liveness("hall", "online")
    metrics.pack("hall", 1)
    accept(metrics, reading("a", 1.0), 1000, described=True)
    metrics.forget("hall")
    left = [name for name in values(metrics) if "hall" in name]
    assert left == ["iotxmpp_packs_total{hall}", "iotxmpp_readings_total{hall}"]


def test_two_controllers_do_not_share_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.devices(5)
    assert values(other)["iotxmpp_devices"] == 0


async def test_they_are_served_over_http() -> None:
    metrics = Metrics()
    metrics.devices(7)
    server = MetricsServer(metrics, 0)

    def get() -> str:
        with urlopen(server.url, timeout=2) as answer:  # noqa: S310  # our own URL
            return str(answer.read().decode())

    try:
        assert server.url.startswith("http://127.0.0.1:")
        assert "iotxmpp_devices 7.0" in await asyncio.to_thread(get)
    finally:
        await asyncio.to_thread(server.close)
    with pytest.raises(URLError):
        await asyncio.to_thread(get)


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"metrics port {port} on 127.0.0.1.*choose another"):
            MetricsServer(Metrics(), port)


def test_a_port_that_is_none_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="metrics port 70000"):
        MetricsServer(Metrics(), 70000)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def take_away(package: str, module: str) -> None:
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setitem(sys.modules, package, None)

    return take_away


@pytest.mark.parametrize(
    ("package", "module"),
    [("prometheus_client", "iotxmpp.controller.metrics"), ("sqlalchemy", "iotxmpp.controller.store")],
)
def test_a_missing_package_is_told_with_what_to_install(
    package: str, module: str, without: Callable[[str, str], None]
) -> None:
    without(package, module)
    with pytest.raises(ConfigError, match=r"pip install 'iotxmpp\[controller\]'"):
        __import__(module)
