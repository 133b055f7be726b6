"""One command on many devices: how many at a time, when it stops, and what each became."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from iotxmpp.controller import bulk
from iotxmpp.controller.bulk import BulkResult, Summary, call_many
from iotxmpp.errors import (
    ArgumentsError,
    CommandExpiredError,
    CommandFailedError,
    CommandUnknownError,
    DeviceAwayError,
    InvalidError,
    IotxmppError,
    LinkDownError,
    NoAnswerError,
    NotAllowedError,
)


class Fleet:
    """Devices that are played: what each answers, and how many are asked at one time."""

    def __init__(self, count: int, errors: Mapping[int, IotxmppError] | None = None) -> None:
        self.errors = errors or {}
        self.asked: list[tuple[str, str, dict[str, Any], float]] = []
        self.running = self.most = 0
        self.go = asyncio.Event()
        self.go.set()
        self.devices = [Played(self, number) for number in range(count)]


class Played:
    """One of them."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.id = f"d{number}"
        self._fleet = fleet
        self._number = number

    async def call_with(self, command: str, arguments: Mapping[str, Any], *, timeout: float) -> Any:  # noqa: ANN401  # as a device
        fleet = self._fleet
        fleet.asked.append((self.id, command, dict(arguments), timeout))
        fleet.running += 1
        fleet.most = max(fleet.most, fleet.running)
        try:
            await asyncio.sleep(0)
            await fleet.go.wait()
        finally:
            fleet.running -= 1
        if self._number in fleet.errors:
            raise fleet.errors[self._number]
        return f"{self.id} did it"


def counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.done, summary.failed, summary.unknown, summary.skipped


async def test_each_device_is_asked_once_and_has_a_result() -> None:
    fleet, told = Fleet(20), list[BulkResult]()
    summary = await call_many(fleet.devices, "switch", {"on": True}, timeout=3, on_result=told.append)
    assert counts(summary) == (20, 0, 0, 0)
    assert fleet.asked == [(f"d{number}", "switch", {"on": True}, 3) for number in range(20)]
    assert [result.device for result in summary.results] == [device.id for device in fleet.devices]
    assert {result.result for result in told} == {f"d{number} did it" for number in range(20)}
    assert len(told) == 20


async def test_arguments_can_differ_by_device() -> None:
    fleet = Fleet(2)
    await call_many(fleet.devices, "name", lambda device: {"to": device})
    assert [each[2] for each in fleet.asked] == [{"to": "d0"}, {"to": "d1"}]


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (3, 3), (50, 10)])
async def test_no_more_than_so_many_are_under_way(at_once: int, most: int) -> None:
    fleet = Fleet(10)
    assert (await call_many(fleet.devices, "x", {}, max_in_flight=at_once)).done == 10
    assert fleet.most == most


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (CommandFailedError("stuck"), "failed"),
        (ArgumentsError("no such argument"), "failed"),
        (NotAllowedError("no"), "failed"),
        (CommandExpiredError("late"), "failed"),
        (NoAnswerError("silence"), "unknown"),
        (LinkDownError("cut"), "unknown"),
        (CommandUnknownError("it was started"), "unknown"),
        (DeviceAwayError("asleep"), "skipped"),
    ],
)
async def test_an_error_is_that_devices_result_and_harms_no_other(error: IotxmppError, outcome: str) -> None:
    summary = await call_many(Fleet(3, {1: error}).devices, "x", {})
    assert [result.outcome for result in summary.results] == ["done", outcome, "done"]
    bad = summary.results[1]
    assert (bad.text, bad.error) == (str(error), error)
    assert sum(counts(summary)) == 3


async def test_it_stops_after_so_many_failures() -> None:
    failed, silent = CommandFailedError("stuck"), NoAnswerError("silence")
    fleet = Fleet(10, {1: failed, 2: DeviceAwayError("away"), 4: silent, 5: failed})
    summary = await call_many(fleet.devices, "x", {}, max_in_flight=1, stop_after_failures=2)
    assert len(fleet.asked) == 5
    assert counts(summary) == (2, 1, 1, 6)
    assert [result.device for result in summary.results] == [device.id for device in fleet.devices]
    assert summary.results[9].text == "not sent: stopped after 2 failures"


async def test_what_is_under_way_when_it_stops_goes_on_to_its_end() -> None:
    fleet = Fleet(10, {number: CommandFailedError("stuck") for number in range(10)})
    summary = await call_many(fleet.devices, "x", {}, max_in_flight=4, stop_after_failures=1)
    assert counts(summary) == (0, 4, 0, 6)
    assert summary.results[9].text == "not sent: stopped after 1 failure"


async def test_a_stop_leaves_the_rest_and_lets_those_under_way_end() -> None:
    fleet, stop = Fleet(10), asyncio.Event()
    fleet.go.clear()
    calling = asyncio.create_task(call_many(fleet.devices, "x", {}, max_in_flight=2, stop=stop))
    while fleet.running < 2:  # noqa: ASYNC110  # the played devices have no event for it
        await asyncio.sleep(0)
    stop.set()
    await asyncio.sleep(0.01)
    fleet.go.set()
    summary = await calling
    assert counts(summary) == (2, 0, 0, 8)
    assert summary.results[9].text == "not sent: stopped"


async def test_what_does_not_answer_after_a_stop_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "GIVE_UP", 0.01)
    fleet, stop = Fleet(5), asyncio.Event()
    fleet.go.clear()
    calling = asyncio.create_task(call_many(fleet.devices, "x", {}, max_in_flight=2, stop=stop))
    while fleet.running < 2:  # noqa: ASYNC110  # the played devices have no event for it
        await asyncio.sleep(0)
    stop.set()
    summary = await calling
    assert counts(summary) == (0, 0, 2, 3)
    assert "may have been carried out" in summary.results[0].text
    assert fleet.running == 0


async def test_a_cancelled_run_leaves_nothing_behind() -> None:
    fleet = Fleet(5)
    fleet.go.clear()
    calling = asyncio.create_task(call_many(fleet.devices, "x", {}))
    while fleet.running < 5:  # noqa: ASYNC110  # the played devices have no event for it
        await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert fleet.running == 0
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_our_own_is_raised_and_ends_the_rest() -> None:
    fleet = Fleet(3)

    def told(_result: BulkResult) -> None:
        raise OSError("nobody reads")

    with pytest.raises(OSError, match="nobody reads"):
        await call_many(fleet.devices, "x", {}, on_result=told)
    assert len(asyncio.all_tasks()) == 1


async def test_nobody_to_call_is_no_error() -> None:
    assert await call_many([], "x", {}) == Summary(done=0, failed=0, unknown=0, skipped=0, results=())


@pytest.mark.parametrize("wrong", [{"max_in_flight": 0}, {"stop_after_failures": 0}])
async def test_limits_below_one_are_refused(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidError, match=f"{name}: 0; give 1 or more"):
        await call_many(Fleet(1).devices, "x", {}, **wrong)  # type: ignore[arg-type]  # a table of options
