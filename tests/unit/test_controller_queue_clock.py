"""A queued command does not run late where somebody sets the controller's clock."""

import asyncio
import time
from pathlib import Path

import pytest

from iotxmpp.controller import Controller
from iotxmpp.controller.queue_clock import Expiries, Expiry
from iotxmpp.errors import CommandExpiredError
from tests.unit.controller_world import HOUSE, SOON
from tests.unit.queue_case import Case, Journaled


class Shifted:
    """The wall clock, as far off as somebody set it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by = 0.0
        true = time.time
        monkeypatch.setattr(time, "time", lambda: true() + self.by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Shifted:
    return Shifted(monkeypatch)


def test_the_earlier_clock_counts(clock: Shifted) -> None:
    steady = 100.0
    expiry = Expiry(time.time() + 20, clock=lambda: steady)
    clock.by = -3600.0
    assert 19.0 < expiry.left() <= 20.0
    steady += 21.0
    assert expiry.left() == pytest.approx(-1.0, abs=0.01)
    clock.by = 3600.0
    assert expiry.left() < -3500.0


def test_a_clock_that_shows_less_than_it_did_before_is_not_believed(clock: Shifted) -> None:
    now = time.time()
    clock.by = -3600.0
    assert 9.0 < Expiry(now + 20, not_before=now + 10).left() <= 10.0


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_what_is_due_is_found_by_either_clock(clock: Shifted, by: float) -> None:
    steady = 100.0
    expiries = Expiries(lambda: steady)
    for name, seconds in (("late", 9000.0), ("soon", 20.0)):
        expiries.put(name, Expiry(time.time() + seconds, clock=lambda: steady))
    assert expiries.due() is None
    assert 19.0 < expiries.nap() <= 20.0
    clock.by = by
    if by < 0:
        assert expiries.due() is None
        steady += 20.0
    assert expiries.due() == "soon"
    expiries.take("soon")
    assert expiries.due() is None


async def test_a_command_that_waits_expires_in_time_though_the_clock_is_set_back(
    case: Case, clock: Shifted
) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    first = await case.device.queue("water", {"n": 1}, ttl=0.3)
    clock.by = -3600.0
    with pytest.raises(CommandExpiredError):
        await asyncio.wait_for(first.result(), SOON)
    await case.there()
    await asyncio.sleep(0.05)
    assert device.calls == []


async def test_what_goes_to_the_device_says_what_is_truly_left(case: Case, clock: Shifted) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    ticket = await case.device.queue("water", {"n": 1}, ttl=20)
    clock.by = -3600.0
    await case.there()
    await asyncio.wait_for(ticket.result(), SOON)
    (call,) = device.calls
    assert call.within is not None
    assert call.within <= 20.0


async def test_a_new_run_does_not_believe_a_clock_that_was_set_back(
    case: Case, clock: Shifted, tmp_path: Path
) -> None:
    device = Journaled(case.played).serve()
    await case.away()
    await case.device.queue("water", {"n": 1}, ttl=0.5)
    await case.controller.__aexit__(None, None, None)
    clock.by = -3600.0
    link = case.world.server.link(case.controller._found_account())
    async with link, Controller(HOUSE, link=link, store=f"sqlite:///{tmp_path}/controller.db") as again:
        async with asyncio.timeout(SOON):
            while not (await again.commands())[0].ended:  # noqa: ASYNC110  # the store has no event
                await asyncio.sleep(0.01)
        assert (await again.commands())[0].state == "expired"
    assert device.calls == []
