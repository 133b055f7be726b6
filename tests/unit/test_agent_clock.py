from pathlib import Path

import pytest

from iotxmpp.agent import clock as clock_module
from iotxmpp.agent.clock import FIRST_CREDIBLE, LAST_CREDIBLE, Clock, boot_id, synchronised, uptime


class Fake:
    """Clocks that a test sets."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.up = 100.0
        self.sync = True
        self.asked = 0

    def synchronised(self) -> bool:
        self.asked += 1
        return self.sync

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, uptime=lambda: self.up, synchronised=self.synchronised, boot="b")


@pytest.mark.parametrize("wall", [0.0, 5.0, FIRST_CREDIBLE - 1, LAST_CREDIBLE, 4_200_000_000.0])
def test_a_clock_at_1970_or_in_2100_is_not_set(wall: float) -> None:
    moment = Fake(wall).clock().now()
    assert (moment.time, moment.quality, moment.uptime) == (None, "r", 100.0)


def test_the_quality_follows_the_kernel_and_is_asked_for_now_and_then() -> None:
    fake = Fake(1_790_000_000.0)
    clock = fake.clock()
    assert [clock.now().quality for _ in range(5)] == ["s"] * 5
    assert fake.asked == 1
    fake.sync = False
    fake.up += 60
    assert clock.now().quality == "u"


@pytest.mark.parametrize("jump", [8 * 86400.0, -3600.0, 1.0])
def test_a_clock_that_was_set_is_asked_for_at_once(jump: float) -> None:
    fake = Fake(1_790_000_000.0)
    clock = fake.clock()
    assert clock.now().quality == "s"
    fake.wall += 4.0
    fake.up += 4.0
    assert (clock.now().quality, fake.asked) == ("s", 1)
    fake.wall, fake.sync = fake.wall + jump, False
    assert (clock.now().quality, fake.asked) == ("u", 2)
    assert (clock.now().quality, fake.asked) == ("u", 2)


def test_the_kernel_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(synchronised(), bool)
    for status, expected in ((0x0040, False), (0x2001, True)):

        def adjtimex(pointer: object, status: int = status) -> int:
            pointer._obj.status = status  # type: ignore[attr-defined]  # ctypes keeps the structure there
            return 5

        monkeypatch.setattr(clock_module, "_adjtimex", lambda adjtimex=adjtimex: adjtimex)
        assert synchronised() is expected


def test_without_the_kernel_a_mark_on_disk_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock_module, "_SYNCHRONISED_MARK", tmp_path / "synchronized")
    for ask in (None, lambda _: -1):
        (tmp_path / "synchronized").unlink(missing_ok=True)
        monkeypatch.setattr(clock_module, "_adjtimex", lambda ask=ask: ask)
        assert not synchronised()
        (tmp_path / "synchronized").touch()
        assert synchronised()


def test_time_since_the_start_ascends_and_a_boot_has_one_name() -> None:
    assert 0 < uptime() <= uptime()
    assert boot_id() == boot_id() != ""
